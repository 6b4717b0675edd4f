"""The folders of an attempt: its working folder with a copy of the bundle, HOME and TMPDIR."""

import os
import shutil
import stat
import threading
from pathlib import Path

from iris.worker.blocking import remove_tree


class GivenUp(Exception):
    """What is done in a thread is not wanted any more."""


# Enough for what a worker runs at a time, many times a second.
_MOST_SPARES = 64
_FOLDER_MODE = stat.S_IFDIR | 0o700
_BELOW = ("work", "home", "tmp")


class SpareFolders:
    """Empty folders of attempts that left nothing in them, for those to come: to make and remove
    one takes ten times as long as to give it another name, and has the disk write much more.
    """

    def __init__(self, path: Path) -> None:
        """`path` is where they are kept, on the disk of the attempts' folders. It exists, empty."""
        self._path = str(path)
        self._names: list[str] = []
        self._made = 0

    def take(self, target: Path) -> bool:
        """Makes one of them `target`. False if there is none."""
        if not self._names:
            return False
        os.rename(f"{self._path}/{self._names.pop()}", target)
        return True

    def give(self, folder: Path) -> bool:
        """Takes it over, if it is as it was when it was made. False, and it is as before, if not."""
        if len(self._names) >= _MOST_SPARES or not _is_as_made(str(folder)):
            return False
        name = str(self._made)
        self._made += 1
        try:
            os.rename(folder, f"{self._path}/{name}")
        except OSError:
            return False
        self._names.append(name)
        return True


def _is_as_made(folder: str) -> bool:
    """Empty, with the modes, owner and attributes of a new one, and nothing mounted there."""
    try:
        top = os.lstat(folder)
        if not _is_like(top, top.st_dev, folder) or sorted(os.listdir(folder)) != sorted(_BELOW):
            return False
        return all(
            _is_like(os.lstat(below), top.st_dev, below) and not os.listdir(below)
            for below in (f"{folder}/{name}" for name in _BELOW)
        )
    except OSError:
        return False


def _is_like(found: os.stat_result, device: int, path: str) -> bool:
    return (
        found.st_mode == _FOLDER_MODE
        and found.st_uid == os.geteuid()
        and found.st_gid == os.getegid()
        and found.st_dev == device
        and not os.listxattr(path)
    )


class AttemptFolder:
    """A folder that is one attempt's alone; everything the task writes by default lies below it.

    `copy_bundle` and `remove` block for as long as there is something to copy or to remove: call
    them in a thread. The others take less time than a thread would cost.
    """

    def __init__(self, path: Path, spares: SpareFolders) -> None:
        self.path = path
        self._spares = spares
        self.work, self.home, self.tmp = (path / name for name in _BELOW)

    def make(self) -> None:
        """Makes it, empty. What was done until an OSError is for `remove`."""
        if self._spares.take(self.path):
            return
        for folder in (self.path, self.work, self.home, self.tmp):
            folder.mkdir()
            folder.chmod(stat.S_IMODE(_FOLDER_MODE))  # whatever the umask

    def copy_bundle(self, bundle: Path, give_up: threading.Event) -> None:
        """Makes the working folder a copy of the bundle. What was done until `give_up` or an
        OSError is for `remove`.
        """

        def copy(source: str, target: str) -> None:
            if give_up.is_set():
                raise GivenUp
            shutil.copy(source, target, follow_symlinks=False)

        shutil.copytree(bundle, self.work, symlinks=True, copy_function=copy, dirs_exist_ok=True)

    def remove_empty(self) -> bool:
        """Removes it if nothing was left in it; whether it is gone. For those many that leave
        nothing.
        """
        if self._spares.give(self.path):
            return True
        try:
            for folder in (self.work, self.home, self.tmp, self.path):
                folder.rmdir()
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """Removes it if it is there, also what was made read-only. Raises OSError."""
        remove_tree(self.path)
