"""Files that others rely on: written whole or not at all, private folders, and locks between
processes.
"""

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
from pathlib import Path

from iris.model.errors import FailedPrecondition

_PRIVATE = 0o700
TEMPORARY_SUFFIX = ".tmp"


def atomic_write(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Puts `data` at `path` so that any reader, also after a crash, sees the old content or all of
    the new.

    The new file has exactly `mode` before its name is seen. Raises OSError; no temporary file is
    left then.
    """
    descriptor, name = tempfile.mkstemp(TEMPORARY_SUFFIX, f".{path.name}.", path.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def private_folder(path: Path) -> Path:
    """Makes sure that `path` is a folder of ours that nobody else may enter, and that files can be
    made in it.

    Missing parents are made as well, private like it; so a folder that was open to others is closed
    only if it is
    empty: somebody may rely on it. Raises FailedPrecondition, in one line, with what to do.
    """
    try:
        _make_private(path)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise _unusable(path, "it belongs to another user")
        if stat.S_IMODE(found.st_mode) & 0o077:
            if any(path.iterdir()):
                raise _unusable(
                    path,
                    "other users may enter it",
                    hint=f"Run chmod 700 {path}, or choose another.",
                )
            path.chmod(_PRIVATE)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    return path


def _make_private(path: Path) -> None:
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(_PRIVATE)


def _unusable(path: Path, why: str, *, hint: str = "Choose another folder.") -> FailedPrecondition:
    return FailedPrecondition(f"The folder {path} cannot be used: {why}.", hint=hint)


class FileLock:
    """An exclusive lock on a file (flock): held until released, or until every process that has its
    descriptor is gone.

    However a holder dies, the kernel lets go for it. Not for network file systems, whose locks may
    be local to each machine. The file itself stays, so that nobody locks a name that somebody else
    just removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @classmethod
    def adopt(cls, path: Path, descriptor: int) -> "FileLock":
        """A lock that was taken by the process we were started by, handed to us as an open
        descriptor.

        From here on our own children do not inherit it.
        """
        os.set_inheritable(descriptor, False)
        lock = cls(path)
        lock._descriptor = descriptor
        return lock

    @property
    def descriptor(self) -> int:
        """To hand the lock to a child: it then is held until the child ends as well."""
        assert self._descriptor is not None, "the lock is not held"
        return self._descriptor

    def acquire(self) -> bool:
        """Takes the lock if it is free; whether it is ours now. Raises OSError where the file
        cannot be opened.
        """
        if self._descriptor is not None:
            return True
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        self._descriptor = descriptor
        return True

    def note(self, text: str) -> None:
        """Writes who holds it into the file, for those who find it taken."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode(), 0)

    def let_go(self) -> None:
        """Closes this process's descriptor; the lock stays held where another process has it.
        Idempotent.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
