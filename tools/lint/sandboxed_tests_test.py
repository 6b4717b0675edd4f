"""No target asks to be let out of the sandbox, to run alone, or to be tried again; nor does a flag."""

from pathlib import Path

import pytest
from absl import flags

from tools.lint.sandboxed_tests import lets_out_in_flags, lets_out_in_starlark

CONFIGURATION = flags.DEFINE_string(
    "configuration", None, "A file in the root of the sources.", required=True
)
FLAG_FILES = (".bazelrc", ".ci/run", "bazelw")


def root() -> Path:
    return Path(CONFIGURATION.value).parent


def build_files() -> list[Path]:
    return sorted(root().rglob("*.txt"))


def test_every_package_is_looked_at() -> None:
    names = [str(path.relative_to(root())) for path in build_files()]
    for name in (
        "tests/BUILD.bazel",
        "iris/worker/BUILD.bazel",
        "iris/controller/store/BUILD.bazel",
    ):
        assert f"{name}.txt" in names
    assert "tools/pytest/defs.bzl.txt" in names


def test_no_target_leaves_the_sandbox_or_is_tried_again() -> None:
    found = [
        f"{path.relative_to(root())}:{line}"
        for path in build_files()
        for line in lets_out_in_starlark(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize("name", FLAG_FILES)
def test_no_flag_does_it_either(name: str) -> None:
    text = (root() / name).read_text()
    assert lets_out_in_flags(text) == []
    assert "bazel" in text


@pytest.mark.parametrize(
    "source",
    [
        'py_test(tags = ["exclusive"])',
        'py_test(tags = ["manual", "no-sandbox"])',
        'py_test(tags = TAGS + ["local"])',
        'TEST_TAGS = ["external"]',
        'py_test(**{"tags": ["local"]})',
        'native.py_test(tags = ["manual"] + ["requires-network"])',
        "py_test(flaky = True)",
        "py_test(flaky = 1)",
        "py_test(local = FLAG)",
        'def f(**kwargs):\n    kwargs["x"] = ["no-cache"]\n',
        'py_test(\n    tags = [\n        "long", "flaky"],\n)',
    ],
)
def test_what_is_forbidden_is_recognised(source: str) -> None:
    assert len(lets_out_in_starlark(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        'py_library(name = "local")',
        "rule = repository_rule(implementation = f, local = True)",
        "py_test(flaky = False)",
        'py_test(tags = ["manual", "ssh"])',
        '# tags = ["exclusive"]',
        'PLACES = ["external", "local"]',
    ],
)
def test_what_only_looks_like_it_is_not(source: str) -> None:
    assert lets_out_in_starlark(source) == []


@pytest.mark.parametrize(
    "line",
    [
        "test --flaky_test_attempts=3",
        "./bazelw test //... --flaky_test_attempts=default",
        "build --spawn_strategy=local",
        "build --spawn_strategy=sandboxed,standalone",
        "test --strategy=TestRunner=local",
        "test --strategy_regexp=.*x.*=local",
        "test --test_strategy=exclusive",
        "build --sandbox_default_allow_network",
        "build --sandbox_default_allow_network=true",
        "test --runs_per_test_detects_flakes",
    ],
)
def test_a_flag_that_is_forbidden_is_recognised(line: str) -> None:
    assert lets_out_in_flags(f"# one\n{line}\n") == [2]


@pytest.mark.parametrize(
    "line",
    [
        "build --spawn_strategy=sandboxed",
        "test:ssh --strategy=TestRunner=processwrapper-sandbox",
        "build --sandbox_default_allow_network=false",
        "build --remote_local_fallback",
        "# not --flaky_test_attempts=3",
    ],
)
def test_a_flag_that_is_not_is_left_alone(line: str) -> None:
    assert lets_out_in_flags(line) == []
