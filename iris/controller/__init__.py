"""The brain: a pure state machine, the store that keeps it, the loop that drives it, and the
services
that users and workers call.
"""
