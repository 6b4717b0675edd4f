"""An attempt's log lines, from the task's pipes until the controller has them."""
