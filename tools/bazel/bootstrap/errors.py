"""The one error of the bootstrap: Bazel cannot be had this way, and why."""


class BootstrapError(Exception):
    """Says in one or two lines what went wrong, with the value, and what to do about it."""
