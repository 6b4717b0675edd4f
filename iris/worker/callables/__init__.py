"""How a task calls a Python function: what the worker does before, and the program that calls."""
