"""`py_library`, as `@rules_python//python:py_library.bzl` has it."""

load("//python/private:byte_code.bzl", "byte_code")

def py_library(name, srcs = [], data = [], testonly = False, **kwargs):
    """Bazel 7's built-in `py_library`, with the byte code of its sources.

    Args:
      name: the library.
      srcs: Python files.
      data: files that are there when it runs.
      testonly: whether only tests may use it.
      **kwargs: what else the built-in rule takes.
    """

    # buildifier: disable=native-python
    native.py_library(
        name = name,
        srcs = srcs,
        data = data + byte_code(name, srcs, testonly),
        testonly = testonly,
        **kwargs
    )
