"""`PyInfo`, as `@rules_python//python:py_info.bzl` has it."""

load("//python/private:builtin_py_info.bzl", "BuiltinPyInfo")

PyInfo = BuiltinPyInfo
