"""`py_test`, as `@rules_python//python:py_test.bzl` has it."""

def py_test(**kwargs):
    """Bazel 7's built-in `py_test`.

    Args:
      **kwargs: what the built-in rule takes.
    """

    # buildifier: disable=native-python
    native.py_test(**kwargs)
