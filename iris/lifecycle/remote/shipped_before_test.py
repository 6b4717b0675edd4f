"""What was shipped to a machine stays there as long as anything could run from it."""

import subprocess
import sys
from pathlib import Path

import pytest

from iris.lifecycle.remote.shipped_before import discard_shipped_before
from iris.ship.inside.start import COPY

DAY = 86400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With three versions, each unpacked."""
    for digest in ("a", "b", "c"):
        (tmp_path / digest).mkdir()
        (tmp_path / digest / COPY).touch()
        (tmp_path / f"iris-{digest}.pyz").touch()
    (tmp_path / "notes").touch()
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def later(folder: Path) -> float:
    return (folder / "iris-a.pyz").stat().st_mtime + DAY


def test_only_its_own_is_left(folder: Path) -> None:
    assert discard_shipped_before(folder / "b", now=later(folder)) == ["a", "c"]
    assert names(folder) == ["b", "iris-b.pyz", "notes"]


@pytest.mark.parametrize("on", ["command line", "import path"])
def test_what_something_runs_from_stays(folder: Path, on: str) -> None:
    place = f"{folder / 'a'}/site"
    words = [place] if on == "command line" else []
    environment = {"PYTHONPATH": f"/x:{place}"} if on == "import path" else {}
    command = [sys.executable, "-I", "-c", "print(flush=True); input()", *words]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert discard_shipped_before(folder / "b", now=later(folder)) == ["c"]
        process.kill()
    assert discard_shipped_before(folder / "b", now=later(folder)) == ["a"]


def test_what_has_just_arrived_stays(folder: Path) -> None:
    assert discard_shipped_before(folder / "b", now=later(folder) - DAY) == []
    assert discard_shipped_before(folder / "b", now=later(folder) - DAY + 3601) == ["a", "c"]


def test_nothing_happens_where_nothing_was_shipped(folder: Path) -> None:
    (folder / "iris-b.pyz").unlink()
    assert discard_shipped_before(folder / "b", now=later(folder)) == []
    assert discard_shipped_before() == []
    assert "iris-a.pyz" in names(folder)
