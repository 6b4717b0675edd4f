"""Fetches one distribution of the lock and unpacks it into the current folder.

Run by the stand-in's `wheel` repository rule with the toolchain's own interpreter, so that the wheel
that pip picks is one that this interpreter can import. Prints the Bazel packages of what the wheel
needs, on this machine and with the given extras, as a JSON list.
"""

import argparse
import importlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

# Run by its path and isolated (-I): the workspace is not on the import path yet.
sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))

from tools.bazel.wheels.wheel_files import WheelError, compile_modules, requires_dist, unpack_wheel


def download(pip: str, requirements: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Has pip fetch the one wheel that the requirements ask for on this machine.

    Args:
        pip: "-m" or the path of a pip wheel, from describe_python.py.
        requirements: lines of the lock for one distribution.
        folder: where the wheel goes.

    Returns:
        The wheel.
    """
    command = [
        *(
            [sys.executable, "-I", "-m", "pip"]
            if pip == "-m"
            else [sys.executable, "-I", f"{pip}/pip"]
        ),
        "download",
        "--require-hashes",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--disable-pip-version-check",
        "--quiet",
        f"--dest={folder}",
        f"--requirement={requirements}",
    ]
    # A user may have told pip to refuse to work outside a virtual environment; nothing is installed.
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(
            f"{result.stderr.strip() or result.stdout.strip()}\n(pip exit code {result.returncode})"
        )
    wheels = list(folder.iterdir())
    if not wheels:
        sys.exit(
            "no line of the lock for it applies to this machine; a target that names it should not"
        )
    if len(wheels) > 1:
        sys.exit(
            f"several lines of the lock apply at once: {sorted(wheel.name for wheel in wheels)}"
        )
    return wheels[0]


def requirement_reader(pip: str) -> Callable[[str], Any]:
    """The class that reads a line of METADATA (packaging's Requirement), which pip brings with it."""
    if pip != "-m":
        sys.path.insert(0, pip)
    return importlib.import_module("pip._vendor.packaging.requirements").Requirement


def needed_packages(
    name: str, lines: list[str], extras: list[str], read: Callable[[str], Any]
) -> list[str]:
    """The Bazel packages of those requirements whose marker holds on this machine.

    Args:
        name: the distribution itself, which may require an extra of its own.
        lines: as in METADATA.
        extras: extras of the wheel that are wanted.
        read: makes a requirement, with a name and a marker, of a line.
    """
    needed = set()
    for requirement in map(read, lines):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ["", *extras]):
            needed.add(package(requirement.name))
    return sorted(needed - {package(name)})


def package(name: str) -> str:
    """The Bazel package of a distribution: lower case, runs of `-`, `_` and `.` as one `_`."""
    return re.sub(r"[-_.]+", "_", name).lower()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--pip", required=True)
    parser.add_argument("--requirements", required=True, type=pathlib.Path)
    parser.add_argument("--extras", required=True)
    options = parser.parse_args()
    here = pathlib.Path.cwd()
    with tempfile.TemporaryDirectory(dir=here, prefix=".download-") as folder:
        try:
            unpack_wheel(download(options.pip, options.requirements, pathlib.Path(folder)), here)
            lines = requires_dist(here)
            compile_modules(here)
        except WheelError as error:
            sys.exit(str(error))
    extras = [extra for extra in options.extras.split(",") if extra]
    json.dump(
        needed_packages(options.name, lines, extras, requirement_reader(options.pip)), sys.stdout
    )


if __name__ == "__main__":
    main()
