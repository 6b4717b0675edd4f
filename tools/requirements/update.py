"""Renews requirements_lock.txt from requirements.in, for all platforms and Pythons at once.

    ./bazelw run //tools/requirements:update                 keeps what still fits, adds what is missing
    ./bazelw run //tools/requirements:update -- --upgrade    the newest of everything

uv asks the Python index, or the one that UV_DEFAULT_INDEX names; neither is written into the lock.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import uv
from absl import app, flags

from tools.requirements.agreement import disagreements

_UPGRADE = flags.DEFINE_bool(
    "upgrade", False, "Take the newest versions instead of keeping the locked ones."
)

_OLDEST_PYTHON = "3.11"


def compile_lock(workspace: pathlib.Path, lock: pathlib.Path, *, upgrade: bool) -> None:
    """Has uv write a lock.

    Args:
        workspace: the folder with requirements.in, and the lock whose versions are kept.
        lock: where the new lock goes.
        upgrade: keep none.

    Raises:
        subprocess.CalledProcessError: uv found no solution; it has said why.
    """
    program = pathlib.Path(uv.__file__).parents[2] / "bin/uv"
    kept = workspace / "requirements_lock.txt"
    if kept.exists() and not upgrade:
        lock.write_bytes(kept.read_bytes())
    command = [
        str(program),
        "pip",
        "compile",
        "requirements.in",
        f"--output-file={lock}",
        "--universal",
        f"--python-version={_OLDEST_PYTHON}",
        f"--python={sys.executable}",
        "--generate-hashes",
        "--no-strip-extras",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--only-binary=:all:",
        "--no-config",
        "--no-cache",
        "--quiet",
        "--custom-compile-command=./bazelw run //tools/requirements:update",
    ]
    subprocess.run(command, cwd=workspace, check=True)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    if "BUILD_WORKSPACE_DIRECTORY" not in os.environ:
        raise app.UsageError("run it with ./bazelw run //tools/requirements:update")
    workspace = pathlib.Path(os.environ["BUILD_WORKSPACE_DIRECTORY"])
    with tempfile.TemporaryDirectory(dir=workspace, prefix=".requirements.") as folder:
        lock = pathlib.Path(folder, "requirements_lock.txt")
        try:
            compile_lock(workspace, lock, upgrade=_UPGRADE.value)
        except subprocess.CalledProcessError as error:
            sys.exit(f"uv failed with exit code {error.returncode}; the lock is as it was")
        problems = disagreements((workspace / "requirements.in").read_text(), lock.read_text())
        if problems:
            sys.exit("the new lock is not good, the old one stays:\n" + "\n".join(problems))
        lock.replace(workspace / "requirements_lock.txt")


if __name__ == "__main__":
    app.run(main)
