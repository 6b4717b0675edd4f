"""Tests of the generated rc file."""

import shlex
from pathlib import Path

from tools.bazel.bootstrap.bazelrc import machine_bazelrc


def _flags(text: str) -> list[tuple[str, str]]:
    """(command, flag) of every line, split as Bazel splits them."""
    lines = [shlex.split(line, comments=True) for line in text.splitlines()]
    assert all(len(words) in (0, 2) for words in lines)
    return [(words[0], words[1]) for words in lines if words]


def test_names_the_parts_of_that_bazel() -> None:
    flags = _flags(machine_bazelrc(Path("/c/bazel"), Path("/c/bazel/usr/lib/jvm/java")))

    assert ("startup", "--install_base=/c/bazel/usr/share/bazel") in flags
    assert ("startup", "--server_javabase=/c/bazel/usr/lib/jvm/java") in flags
    assert (
        "common:locked_down",
        "--override_module=platforms=/c/bazel/usr/share/bazel/tools/platforms",
    ) in flags


def test_chooses_the_configuration_and_defines_it_too() -> None:
    flags = _flags(machine_bazelrc(Path("/c"), Path("/j")))

    assert ("common", "--config=locked_down") in flags
    assert any(command == "common:locked_down" for command, _ in flags)


def test_leaves_rules_python_to_the_workspace() -> None:
    assert "rules_python" not in machine_bazelrc(Path("/c"), Path("/j"))


def test_a_folder_with_a_space_or_a_quote_stays_one_flag() -> None:
    flags = _flags(machine_bazelrc(Path('/my "own" cache'), Path("/j")))

    assert ("startup", '--install_base=/my "own" cache/usr/share/bazel') in flags
