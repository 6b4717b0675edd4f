"""`pytest_test`: a `py_test` that runs pytest over the files it names."""

load("@rules_python//python:py_test.bzl", "py_test")

_MAIN = Label("//tools/pytest:main.py")
_LIBRARY = Label("//tools/pytest")
_PYTEST = Label("@pypi//pytest")

def pytest_test(
        name,
        srcs,
        deps = [],
        data = [],
        args = [],
        size = "small",
        **kwargs):
    """Runs pytest over `srcs`, through the main that all tests share (see main.py).

    Args:
      name: the target's name; for one file by convention `x_test` for `x_test.py`.
      srcs: test files. Each must hold at least one test. A conftest.py may be among them.
      deps: what the tests import. pytest, pytest-asyncio and the shared main are added.
      data: files that the tests read.
      args: absl flags of the tests. `$(rootpath ...)` of something in `data` is expanded.
      size: "small" unless said otherwise: one minute.
      **kwargs: the rest of py_test's attributes: tags, env, shard_count, ...
    """
    tests = [src for src in srcs if not src.endswith("conftest.py")]
    py_test(
        name = name,
        size = size,
        srcs = srcs + [_MAIN],
        args = ["--pytest_file=$(rootpath {})".format(src) for src in tests] + args,
        data = data,
        main = _MAIN,
        deps = deps + [dep for dep in [_LIBRARY, _PYTEST] if dep not in deps],
        **kwargs
    )
