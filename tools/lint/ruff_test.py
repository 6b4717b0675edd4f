"""Holds every Python file of the workspace to ruff.toml: lint and format."""

import pathlib
import subprocess

import pytest
from absl import flags

from tools.lint.ruff_program import ruff_program

_CONFIGURATION = flags.DEFINE_string(
    "configuration", None, "ruff.toml, in the sources' root.", required=True
)


def run_ruff(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(ruff_program()), *arguments, "--no-cache", "--config=ruff.toml", "."]
    return subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture
def workspace(tmp_path: pathlib.Path) -> pathlib.Path:
    """The sources as they lie in the workspace."""
    root = pathlib.Path(_CONFIGURATION.value).parent
    sources = [path for path in root.rglob("*") if path.suffix in (".py", ".toml")]
    assert len(sources) > 20, "the workspace's sources are not there"
    for source in sources:
        copy = tmp_path / source.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(source.read_bytes())
    return tmp_path


def test_lint(workspace: pathlib.Path) -> None:
    result = run_ruff(workspace, "check", "--output-format=concise")
    assert result.returncode == 0, (
        f"./bazelw run //tools/lint:fix mends some of it\n{result.stdout}"
    )


def test_format(workspace: pathlib.Path) -> None:
    result = run_ruff(workspace, "format", "--check", "--output-format=concise")
    assert result.returncode == 0, f"./bazelw run //tools/lint:fix mends it\n{result.stdout}"


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("import os\n", ["check"]),
        ('"""A module."""\n\nimport os\n', ["check"]),
        ('"""A module."""\n\n\ndef f(x):\n    return x\n', ["check"]),
        ('"""A module."""\nx  =  1\n', ["format", "--check"]),
    ],
)
def test_a_bad_file_would_be_found(tmp_path: pathlib.Path, text: str, arguments: list[str]) -> None:
    (tmp_path / "ruff.toml").write_bytes(pathlib.Path(_CONFIGURATION.value).read_bytes())
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris/bad.py").write_text(text)
    result = run_ruff(tmp_path, *arguments)
    assert result.returncode == 1 and "bad.py" in result.stdout
