"""The folders of an attempt: its working folder with a copy of the bundle, HOME and TMPDIR."""

import shutil
import threading
from pathlib import Path

from iris.worker.blocking import remove_tree


class GivenUp(Exception):
    """What is done in a thread is not wanted any more."""


class AttemptFolder:
    """A folder that is one attempt's alone; everything the task writes by default lies below it.

    The methods block: call them in a thread.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        self.home = path / "home"
        self.tmp = path / "tmp"

    def make(self, bundle: Path | None, give_up: threading.Event) -> None:
        """Makes it, with a copy of the bundle as the working folder. What was done until `give_up`
        or an OSError is for `remove`.
        """
        self.path.mkdir(mode=0o700)
        self.home.mkdir()
        self.tmp.mkdir()
        if bundle is None:
            self.work.mkdir()
            return

        def copy(source: str, target: str) -> None:
            if give_up.is_set():
                raise GivenUp
            shutil.copy(source, target, follow_symlinks=False)

        shutil.copytree(bundle, self.work, symlinks=True, copy_function=copy)

    def remove(self) -> None:
        """Removes it if it is there, also what was made read-only. Raises OSError."""
        remove_tree(self.path)
