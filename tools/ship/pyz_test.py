"""The file that the build makes runs by itself: with no home, no variables, and nothing of the workspace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

_PYZ = flags.DEFINE_string("pyz", None, "The file.")


@pytest.fixture
def pyz(tmp_path: Path) -> Path:
    """A copy of it, alone in a folder."""
    (tmp_path / "bare").mkdir()
    return Path(shutil.copy(_PYZ.value, tmp_path / "bare" / "iris.pyz"))


def run(pyz: Path, *words: str) -> subprocess.CompletedProcess[str]:
    python = os.path.realpath(sys.executable)
    return subprocess.run(
        [python, "-I", str(pyz), *words],
        cwd="/",
        env={"HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_the_command_runs(pyz: Path) -> None:
    done = run(pyz, "cli", "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("iris ")


@pytest.mark.parametrize("program", ["worker", "controller"])
def test_a_program_knows_its_options(pyz: Path, program: str) -> None:
    done = run(pyz, program, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_all_of_iris_can_be_imported_from_it(pyz: Path) -> None:
    run(pyz, "cli", "--version")
    (folder,) = [path for path in pyz.parent.iterdir() if path.is_dir()]
    code = (
        f"import sys; sys.path.append({str(folder / 'site')!r})\n"
        "import grpc, iris.worker.host, iris.lifecycle.local.control_plane, iris_proto.worker_pb2\n"
        "from iris.worker.python_environment.uv_program import uv_program\n"
        "print(uv_program())"
    )
    done = subprocess.run(
        [os.path.realpath(sys.executable), "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={},
    )
    assert done.stdout.strip() == str(folder / "bin" / "uv"), done.stderr
    assert os.access(folder / "bin" / "uv", os.X_OK)


def test_no_test_is_in_it(pyz: Path) -> None:
    run(pyz, "cli", "--version")
    assert not [path for path in pyz.parent.rglob("*_test.py") if "iris" in path.parts]
