"""Proves that it ran from the bundle: prints a greeting, a file that travelled beside it, and who it is."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent

print(f"hello from {os.environ['IRIS_TASK_ID']}")
print(f"marker: {(HERE / 'marker.txt').read_text().strip()}")
print(f"arguments: {sys.argv[1:]}")
print(f"folder: {pathlib.Path.cwd()}")
print("to stderr as well", file=sys.stderr)
