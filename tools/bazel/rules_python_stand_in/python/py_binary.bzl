"""`py_binary`, as `@rules_python//python:py_binary.bzl` has it."""

def py_binary(**kwargs):
    """Bazel 7's built-in `py_binary`.

    Args:
      **kwargs: what the built-in rule takes.
    """

    # buildifier: disable=native-python
    native.py_binary(**kwargs)
