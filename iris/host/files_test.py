"""Tests of atomic writes, private folders and locks between real processes."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from iris.host.files import FileLock, atomic_write, private_folder
from iris.model.errors import FailedPrecondition


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_write_and_replace(tmp_path: Path) -> None:
    file = tmp_path / "token"
    atomic_write(file, b"one")
    assert (file.read_bytes(), _mode(file)) == (b"one", 0o600)
    atomic_write(file, b"two", mode=0o644)
    assert (file.read_bytes(), _mode(file)) == (b"two", 0o644)
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    (target / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        atomic_write(target, b"x")
    assert list(tmp_path.iterdir()) == [target]


def test_a_private_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    folder = private_folder(tmp_path / "a" / "b")
    assert (_mode(folder), _mode(folder.parent)) == (0o700, 0o700)
    assert private_folder(folder) == folder
    assert not list(folder.iterdir())


def test_an_open_folder_is_closed_only_if_it_is_empty(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    private_folder(tmp_path)
    assert _mode(tmp_path) == 0o700
    tmp_path.chmod(0o755)
    (tmp_path / "somebody's").touch()
    with pytest.raises(FailedPrecondition) as caught:
        private_folder(tmp_path)
    assert str(caught.value) == (
        f"The folder {tmp_path} cannot be used: other users may enter it. "
        f"Run chmod 700 {tmp_path}, or choose another."
    )
    assert _mode(tmp_path) == 0o755


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/iris/below"])
def test_a_folder_that_cannot_be(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FailedPrecondition, match="cannot be used") as caught:
        private_folder(tmp_path / where)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_locks_on_one_file(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.acquire()
    assert first.acquire(), "it is held already, by itself"
    first.note("pid 1")
    assert not second.acquire()
    assert (tmp_path / "lock").read_text() == "pid 1"
    first.let_go()
    first.let_go()
    assert second.acquire()
    second.note("2")
    assert (tmp_path / "lock").read_text() == "2"
    second.let_go()


_HOLD = """
import os, sys
from pathlib import Path
from iris.host.files import FileLock
lock = FileLock.adopt(Path(sys.argv[1]), int(sys.argv[2]))
assert not os.get_inheritable(lock.descriptor)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_that_is_handed_over_is_held_until_its_new_holder_dies(tmp_path: Path) -> None:
    lock, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert lock.acquire()
    child = subprocess.Popen(
        [sys.executable, "-P", "-s", "-c", _HOLD, str(lock.path), str(lock.descriptor)],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        pass_fds=[lock.descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        lock.let_go()
        assert not other.acquire()
        child.kill()
        child.wait()
        assert other.acquire()
    other.let_go()
