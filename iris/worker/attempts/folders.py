"""The folders of an attempt: its working folder with a copy of the bundle, HOME and TMPDIR."""

import shutil
import threading
from pathlib import Path

from iris.worker.blocking import remove_tree


class GivenUp(Exception):
    """What is done in a thread is not wanted any more."""


class AttemptFolder:
    """A folder that is one attempt's alone; everything the task writes by default lies below it.

    `copy_bundle` and `remove` block for as long as there is something to copy or to remove: call
    them in a thread. The others take less time than a thread would cost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        self.home = path / "home"
        self.tmp = path / "tmp"

    def make(self) -> None:
        """Makes it, empty. What was done until an OSError is for `remove`."""
        self.path.mkdir(mode=0o700)
        for folder in (self.work, self.home, self.tmp):
            folder.mkdir()

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
        try:
            for folder in (self.work, self.home, self.tmp, self.path):
                folder.rmdir()
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """Removes it if it is there, also what was made read-only. Raises OSError."""
        remove_tree(self.path)
