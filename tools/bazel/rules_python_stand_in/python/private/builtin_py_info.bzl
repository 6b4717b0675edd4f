"""Bazel's own `PyInfo` under another name: a file cannot both use a built-in and define its name."""

BuiltinPyInfo = PyInfo
