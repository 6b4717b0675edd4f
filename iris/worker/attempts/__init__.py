"""One attempt on this machine: bundle -> image -> folder -> ports -> run -> watch -> clean up."""
