"""What of the file runs on the other machine before Iris does: `start.py`, then `run.py`."""
