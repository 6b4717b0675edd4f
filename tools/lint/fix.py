"""Formats the workspace's Python and mends what ruff can mend safely; says what is left.

./bazelw run //tools/lint:fix
"""

import os
import pathlib
import subprocess
import sys

from absl import app

from tools.lint.ruff_program import ruff_program


def main(argv: list[str]) -> None:
    if "BUILD_WORKSPACE_DIRECTORY" not in os.environ:
        raise app.UsageError("run it with ./bazelw run //tools/lint:fix")
    workspace = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    paths = argv[1:] or ["."]
    program = ruff_program()
    lint = subprocess.run(
        [program, "check", "--fix", "--no-cache", *paths], cwd=workspace, check=False
    )
    layout = subprocess.run([program, "format", "--no-cache", *paths], cwd=workspace, check=False)
    sys.exit(lint.returncode or layout.returncode)


if __name__ == "__main__":
    app.run(main)
