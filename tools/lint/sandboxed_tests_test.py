"""No target asks to be let out of the sandbox, to run alone, or to be tried again."""

import re
from pathlib import Path

from absl import flags

CONFIGURATION = flags.DEFINE_string("configuration", None, "A file in the root of the sources.")

# Tags and attributes of Bazel that make a test pass where it otherwise would not.
FORBIDDEN = re.compile(
    r"""["'](exclusive|exclusive-if-local|external|no-cache|no-remote|no-sandbox|requires-network)["']"""
    r"""|tags\s*=.*["']local["']|^\s*["'](local|flaky)["'],|\b(flaky|local)\s*=\s*(True|1)\b"""
)
# A repository rule is no test; `local` there means that its inputs are this machine's.
ALLOWED = re.compile(r"^\s*local = True,$")


def build_files() -> list[Path]:
    return sorted(Path(CONFIGURATION.value).parent.rglob("*.txt"))


def forbidden_in(path: Path) -> list[str]:
    is_rule = path.name.endswith(".bzl.txt")
    return [
        f"{path}:{number}: {line.strip()}"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if FORBIDDEN.search(line) and not (is_rule and ALLOWED.match(line))
    ]


def test_every_package_is_looked_at() -> None:
    names = [str(path) for path in build_files()]
    for package in ("tests", "iris/worker", "tools/lint", "iris/controller/store"):
        assert any(name.endswith(f"{package}/BUILD.bazel.txt") for name in names), package


def test_no_target_leaves_the_sandbox_or_is_tried_again() -> None:
    found = [line for path in build_files() for line in forbidden_in(path)]
    assert found == []


def test_what_is_forbidden_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "BUILD.bazel.txt"
    path.write_text(
        'py_test(\n    tags = ["exclusive"],\n    flaky = True,\n    local = True,\n)\n'
    )
    assert [line.split(":")[1] for line in forbidden_in(path)] == ["2", "3", "4"]
