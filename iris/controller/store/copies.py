"""Back-ups: copies that are made while the state is in use, and putting one in its place.

Nothing is ever seen half done. A copy is written under a name of its own, checked, brought to disk,
and only then gets its name. A restore has one moment from which on it counts: the checked copy is
called `<state>.restoring`; whoever opens the state next finishes what a crash cut short.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from iris.controller.store.opening import (
    COMPANIONS,
    connect,
    connect_to_read,
    damaged,
    examine,
    trouble,
)
from iris.host.files import FileLock
from iris.model.errors import (
    AlreadyExists,
    DataLoss,
    FailedPrecondition,
    NotFound,
    Unavailable,
)

_PAGES_PER_STEP = 1024  # after so many it is asked whether to go on


def take_lock(path: Path) -> FileLock:
    """What keeps a second process from the state. Raises FailedPrecondition when one has it."""
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        taken = lock.acquire()
    except OSError as error:
        raise FailedPrecondition(
            f"The state {path} cannot be locked: {error.strerror}.",
            hint="Its folder has to exist, and this user may write to it.",
        ) from error
    if not taken:
        raise FailedPrecondition(
            f"Another controller uses the state {path}.", hint="Stop it first."
        )
    return lock


def back_up(source: Path, target: Path, *, stop: Callable[[], bool]) -> None:
    """See `Database.back_up`. Whoever calls sees to it that `source` stays open."""
    if target.exists():
        raise AlreadyExists(f"There is a file {target} already.", hint="Choose another name.")
    with _copied(source, target, stop=stop) as copy:
        _sync(copy)
        if target.exists():
            raise AlreadyExists(f"There is a file {target} by now.", hint="Choose another name.")
        copy.rename(target)
        _sync_folder(target.parent)


def restore(backup: Path, target: Path, *, replace: bool = False) -> Path | None:
    """Puts a copy of a back-up in the place of a state that no controller uses.

    A state that is there is replaced only if that is said; it stays beside the new one under the
    name that is returned.

    Raises NotFound when there is no back-up, DataLoss when it is damaged, FailedPrecondition when it
    is not one or of a newer Iris, or a controller uses the target, AlreadyExists when the target
    exists, Unavailable when there is no room. The target is as it was then.
    """
    if not backup.is_file():
        raise NotFound(f"There is no back-up {backup}.")
    lock = take_lock(target)
    try:
        finish_restore(target)
        if target.exists() and not replace:
            raise AlreadyExists(
                f"There is a state {target} already.", hint="Say that it is to be replaced."
            )
        examine(backup)
        with _copied(backup, target, stop=lambda: False) as copy:
            # Also what only this version can see is wrong with it is seen before it counts.
            connect(copy, durable=True).close()
            _sync(copy)
            copy.rename(_restoring(target))
            _sync_folder(target.parent)
        return finish_restore(target)
    finally:
        lock.let_go()


def finish_restore(target: Path) -> Path | None:
    """Goes through with a restore from the moment from which on it counts; does nothing if there is
    none. Returns where the replaced state is.

    However often this is cut short and begun anew, the outcome is the same. For who holds the lock.
    """
    copy = _restoring(target)
    if not copy.exists():
        return None
    kept = None
    if target.exists():
        kept = _free_name(target)
        # First what belongs to it: once the file itself has its new name, all of it has.
        for suffix in ("-wal", "-journal", ""):
            with contextlib.suppress(FileNotFoundError):
                target.with_name(target.name + suffix).rename(kept.with_name(kept.name + suffix))
        _sync_folder(target.parent)
    for suffix in COMPANIONS:  # of a file that is not there: SQLite would take them for the copy's
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    copy.rename(target)
    _sync_folder(target.parent)
    return kept


def _restoring(target: Path) -> Path:
    return target.with_name(target.name + ".restoring")


def _free_name(target: Path) -> Path:
    number = 1
    while (name := target.with_name(f"{target.name}.replaced-{number}")).exists():
        number += 1
    return name


@contextlib.contextmanager
def _copied(source: Path, target: Path, *, stop: Callable[[], bool]) -> Iterator[Path]:
    """A copy beside the target, whole, checked, and readable by its owner only. It is removed unless
    it is given another name.
    """
    copy = target.with_name(f".{target.name}.tmp")
    try:
        _remove(copy)  # what a process that was killed left
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy(source, copy, stop)
        try:
            examine(copy)
        except DataLoss as error:
            raise damaged(source, f"a copy of it fails the check ({error.problem})") from error
        yield copy
    except OSError as error:
        raise Unavailable(
            f"The copy {copy} cannot be made: {error.strerror}.",
            hint="Its folder has to exist and have room, and this user may write to it.",
        ) from error
    finally:
        _remove(copy)


def _copy(source: Path, copy: Path, stop: Callable[[], bool]) -> None:
    def go_on(status: int, remaining: int, total: int) -> None:
        if stop():
            raise Unavailable(f"The copy of {source} was given up with {remaining} pages to go.")

    try:
        with contextlib.closing(connect_to_read(source)) as from_:
            # What is read is of one moment, whatever is committed meanwhile.
            from_.execute("BEGIN")
            from_.execute("SELECT COUNT(*) FROM sqlite_schema").fetchall()
            with contextlib.closing(sqlite3.connect(copy)) as to:
                to.execute("PRAGMA synchronous = OFF")  # it is synced as a whole
                from_.backup(to, pages=_PAGES_PER_STEP, progress=go_on)
                # One file that is all of it: the source's is written with a WAL beside it.
                to.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.Error as error:
        raise trouble(copy, error) from error


def _remove(copy: Path) -> None:
    for suffix in ("", *COMPANIONS):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_sync_folder = _sync
