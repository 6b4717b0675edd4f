"""The `iris` command: run jobs, look after them, look at clusters."""
