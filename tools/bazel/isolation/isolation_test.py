"""Tests that a program sees the standard library, what it declared, and nothing of the machine."""

import importlib.util
import json
import os
import pathlib
import re
import site
import subprocess
import sys
import sysconfig
from typing import Any

import pytest
from absl import flags

_PROGRAM = flags.DEFINE_string(
    "program", None, "A program that depends on iniconfig.", required=True
)

# In the lock, so that fetching them is possible, and not declared by any target here; numpy and
# requests are what a machine is likely to have.
UNDECLARED = ["grpc", "yaml", "rich", "psutil", "google.protobuf", "numpy", "requests"]
SUPPORTED = [(3, 11), (3, 12), (3, 13)]


def run(environment: dict[str, str], *names: str) -> dict[str, Any]:
    result = subprocess.run(
        [pathlib.Path(_PROGRAM.value).absolute(), *names],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def foreign(path: list[str]) -> list[str]:
    """What of an import path is neither the standard library nor in the test's own runfiles.

    A toolchain that is itself a part of the build may have its site-packages, which are the same
    everywhere; one that is the machine's may not.
    """
    own = [os.environ["TEST_SRCDIR"], os.path.realpath(os.environ["TEST_SRCDIR"])]
    library = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    if "/external/rules_python" in sys.base_prefix:
        own.append(sys.base_prefix)
    zipped = re.compile(r"/python3\d+\.zip$")
    return [
        entry
        for entry in path
        if not zipped.search(entry)
        and os.path.exists(entry)
        and not any(entry == root or entry.startswith(root + "/") for root in own)
        and not any(entry == root or entry.startswith(root + "/lib-dynload") for root in library)
    ]


def test_the_version_is_one_that_the_lock_is_for() -> None:
    assert sys.version_info[:2] in SUPPORTED
    assert sys.implementation.name == "cpython"


def test_this_test_sees_nothing_of_the_machine() -> None:
    assert foreign(sys.path) == []
    assert "PYTHONPATH" not in os.environ
    assert not site.ENABLE_USER_SITE


@pytest.mark.parametrize("name", UNDECLARED)
def test_what_was_not_declared_cannot_be_imported(name: str) -> None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # the package around it
        spec = None
    assert spec is None


def test_what_was_declared_can() -> None:
    report = run({"PATH": os.environ["PATH"]}, *(name for name in UNDECLARED if "." not in name))
    assert report["declared"].endswith("/iniconfig/__init__.py")
    assert report["found"] == []
    assert foreign(report["path"]) == []


def test_no_python_of_the_path_is_run(tmp_path: pathlib.Path) -> None:
    for name in ("python", "python3", "python3.11", "python3.12", "python3.13"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 99\n")
        (tmp_path / name).chmod(0o755)
    report = run({"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert tuple(report["version"]) == sys.version_info[:3]


def test_a_child_of_the_same_python_sees_no_more_than_its_parent() -> None:
    program = (
        "import importlib.util, json, sys\n"
        "found = [name for name in sys.argv[1:] if importlib.util.find_spec(name)]\n"
        "print(json.dumps([sys.path, found]))"
    )
    names = [name for name in UNDECLARED if "." not in name]
    output = subprocess.run(
        [sys.executable, "-c", program, *names],
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        check=True,
        cwd="/",
    ).stdout
    path, found = json.loads(output)
    assert foreign([entry for entry in path if entry]) == []
    assert found == []
