"""The worker's side of the stream to its controller: what goes up, what comes down, and when."""
