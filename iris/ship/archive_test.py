"""The file is the same whoever writes it, unpacks itself whole or not at all, and says where it cannot run."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from iris.ship import Archive, write_archive
from iris.ship.inside import start

PROGRAM = """
import os, sys
def main():
    print("hello", *sys.argv[1:], os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    return 7
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A file of its own little program, in the place of the command."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "main.py").write_text(PROGRAM)
    (folder / "empty").write_text("")
    (folder / "uv").write_text("#!/bin/sh\necho uv")
    return {
        "site/iris/cli/main.py": folder / "main.py",
        "site/iris/cli/__init__.py": folder / "empty",
        "site/iris/__init__.py": folder / "empty",
        "bin/uv": folder / "uv",
    }


@pytest.fixture
def pyz(files: dict[str, Path], tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    write_archive(files, tmp_path / "there" / "iris.pyz")
    return tmp_path / "there" / "iris.pyz"


def run(pyz: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    python = os.path.realpath(sys.executable)
    return subprocess.run(
        [python, "-I", str(pyz), *words],
        cwd="/",
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()]


def test_the_same_contents_give_the_same_bytes(files: dict[str, Path], tmp_path: Path) -> None:
    write_archive(files, tmp_path / "a")
    for path in files.values():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    write_archive(dict(reversed(files.items())), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_digest_is_of_contents_names_and_nothing_else(files: dict[str, Path]) -> None:
    before = Archive(files).about()["digest"]
    assert Archive({**files, "site/x": files["bin/uv"]}).about()["digest"] != before
    files["bin/uv"].write_text("other")
    assert Archive(files).about()["digest"] != before


def test_it_unpacks_itself_beside_itself_and_runs(pyz: Path) -> None:
    done = run(pyz, "cli", "a", "b c")
    (folder,) = folders(pyz.parent)
    assert (done.returncode, done.stdout) == (7, f"hello a b c {folder / 'site'}\n"), done.stderr
    assert os.access(folder / "bin" / "uv", os.X_OK)
    assert (folder / "iris.pyz").read_bytes() == pyz.read_bytes()
    inode = folder.stat().st_ino
    assert run(pyz, "cli").returncode == 7
    assert folder.stat().st_ino == inode


def test_many_at_once_leave_one_whole_folder(pyz: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = [done.returncode for done in pool.map(lambda _: run(pyz, "cli"), range(8))]
    assert codes == [7] * 8
    assert len(folders(pyz.parent)) == 1


def test_what_another_unpacked_meanwhile_is_left_alone(
    pyz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be running from there."""
    made: list[int] = []
    with zipfile.ZipFile(pyz) as file:
        digest = json.loads(file.read(start.ABOUT))["digest"]
        folder = pyz.parent / digest

        @contextmanager
        def after_another(parent: str) -> Iterator[None]:
            start.unpack(file, str(pyz), str(folder))
            made.append(folder.stat().st_ino)
            yield

        monkeypatch.setattr(start, "one_at_a_time", after_another)
        assert start.unpacked(file, str(pyz), digest) == str(folder)
    assert [folder.stat().st_ino] == made


def test_what_is_not_whole_is_unpacked_again(pyz: Path) -> None:
    run(pyz, "cli")
    (folder,) = folders(pyz.parent)
    (folder / "site/iris/cli/main.py").write_text("")
    done = run(pyz, "cli")
    assert (done.returncode, folders(pyz.parent)) == (7, [folder]), done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_beside_a_folder_that_is_read_only_it_uses_the_cache(pyz: Path, tmp_path: Path) -> None:
    pyz.parent.chmod(0o500)
    try:
        assert run(pyz, "cli", XDG_CACHE_HOME=str(tmp_path / "cache")).returncode == 7
    finally:
        pyz.parent.chmod(0o700)
    assert len(folders(tmp_path / "cache/iris/ship")) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("python", [2, 7]), ("machine", "vax"), ("system", "Plan9")]
)
def test_another_python_or_machine_is_told(
    name: str, value: object, files: dict[str, Path]
) -> None:
    about = Archive(files).about()
    assert start.unsuitable(about) == ""
    problem = start.unsuitable({**about, name: value})
    text = "2.7" if name == "python" else str(value)
    assert text in problem
    assert sys.executable in problem
    assert "bootstrap.python" in problem


def test_no_program_is_an_error_that_names_them(pyz: Path) -> None:
    done = run(pyz)
    assert done.returncode == 2
    assert "'' is no program of Iris. Give one of worker, controller, cli first." in done.stderr


def test_a_failure_leaves_nothing(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "out" / "iris.pyz"
    target.parent.mkdir()
    with pytest.raises(OSError):
        write_archive({**files, "site/gone": tmp_path / "gone"}, target)
    assert list(target.parent.iterdir()) == []


def test_it_is_a_plain_zip(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as file:
        assert file.testzip() is None
        assert {info.date_time for info in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
