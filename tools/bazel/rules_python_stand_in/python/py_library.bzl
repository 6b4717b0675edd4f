"""`py_library`, as `@rules_python//python:py_library.bzl` has it."""

def py_library(**kwargs):
    """Bazel 7's built-in `py_library`.

    Args:
      **kwargs: what the built-in rule takes.
    """

    # buildifier: disable=native-python
    native.py_library(**kwargs)
