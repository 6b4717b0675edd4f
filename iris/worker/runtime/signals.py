"""How signals are called in messages."""

import signal


def signal_name(number: int) -> str:
    """`SIGSEGV (signal 11)`, or `signal 34` where it has no name."""
    try:
        return f"{signal.Signals(number).name} (signal {number})"
    except ValueError:
        return f"signal {number}"
