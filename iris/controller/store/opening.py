"""Opens the file: refuses what is not ours, newer or damaged, and brings the rest to this version."""

import contextlib
import sqlite3
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from iris.controller.store.schema import APPLICATION_ID, MIGRATIONS, TABLES_1, VERSION
from iris.model.errors import DataLoss, FailedPrecondition, Internal, IrisError, Unavailable

# What SQLite may have beside a file: pages that are not in it yet, their index, pages as they were.
COMPANIONS = ("-wal", "-shm", "-journal")

_CHECKPOINT_PAGES = 4000  # 16 MiB of WAL: after so much it is brought into the file
_MAX_WAL_BYTES = 64 << 20  # what one large commit made of the WAL is cut back to this
_CACHE_KIB = 32 << 10
_INCREMENTAL = 2  # of auto_vacuum


def connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    """A connection that may write, to a file that is whole and of this version.

    FULL: a commit is on disk before it is acknowledged, in WAL mode at the price of one fsync. Not
    durable, it survives the end of the process, but not of the machine. For one thread at a time.

    Raises FailedPrecondition when it is not ours or a newer Iris wrote it, DataLoss when it is
    damaged; nothing is changed then. Unavailable when there is no room to bring it up to date.
    """
    examine(path, may_be_new=True)
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise trouble(path, error) from error
    try:
        _set_up(connection, durable=durable)
        _migrate(connection, path)
        # What a killed process left in it is read again at every start until it is in the file.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        connection.close()
        raise trouble(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing. To a file that is in use, it is one reader more.

    A file that lies alone is all there is, and in use by nobody: nothing is put beside it then.
    """
    in_use = any(_size(path.with_name(path.name + suffix)) for suffix in COMPANIONS)
    mode = "mode=ro" if in_use else "mode=ro&immutable=1"
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{mode}", uri=True)


def examine(path: Path, *, may_be_new: bool = False) -> None:
    """Looks at a file that nobody writes to. Changes nothing. One that is to become a state may be
    missing, or have nothing in it.

    Raises FailedPrecondition when it cannot be read, is not ours or a newer Iris wrote it, DataLoss
    when it is damaged.
    """
    if path.exists() and not path.is_file():
        raise FailedPrecondition(
            f"The state {path} cannot be opened: it is no file.", hint="Choose another name."
        )
    if not _size(path):
        if may_be_new:
            return
        raise damaged(path, "there is nothing in it")
    try:
        with contextlib.closing(connect_to_read(path)) as connection:
            _check_origin(connection, path, may_be_new=may_be_new)
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise damaged(path, " ".join(found.split()))
            if connection.execute("PRAGMA user_version").fetchone() == (VERSION,):
                _check_rows(connection, path)
    except sqlite3.Error as error:
        raise trouble(path, error) from error


def damaged(path: Path, what: str) -> DataLoss:
    """What is said about a file that cannot be read."""
    return DataLoss(
        f"The state {path} is damaged: {what}.",
        hint="Restore a back-up, or move the file away to begin with no jobs.",
    )


def trouble(path: Path, error: sqlite3.Error) -> IrisError:
    """What SQLite said, as an error of ours: what is wrong with the file, its disk, or us."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
    match code:
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, str(error))
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_READONLY:
            return FailedPrecondition(
                f"The state {path} cannot be opened: {error}.",
                hint="Is it a file, and may this user read and write it?",
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable(
                f"The state {path} cannot be used: {error}.",
                hint="Another program holds it: end that.",
            )
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM:
            return Unavailable(
                f"The state {path} cannot be written: {error}.",
                hint="Make room on its disk and start again.",
            )
    return Internal(f"The state {path} was used wrongly: {error}.")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _check_origin(connection: sqlite3.Connection, path: Path, *, may_be_new: bool) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    }
    if application == APPLICATION_ID:
        ours = True
    else:
        ours = not application and (
            (version == 1 and tables == TABLES_1) or (version == 0 and not tables and may_be_new)
        )
    if not ours:
        raise FailedPrecondition(
            f"The file {path} is a database, but not the state of a controller "
            f"(application id {application:#x}, version {version}).",
            hint="Choose another file.",
        )
    if version > VERSION:
        raise FailedPrecondition(
            f"The state {path} has version {version}; this Iris knows versions up to {VERSION}.",
            hint="Run the newer Iris that wrote it, or choose another state folder.",
        )


def _set_up(connection: sqlite3.Connection, *, durable: bool) -> None:
    pragmas = (
        f"synchronous = {'FULL' if durable else 'OFF'}",
        "journal_mode = WAL",
        f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
        f"journal_size_limit = {_MAX_WAL_BYTES}",
        f"cache_size = -{_CACHE_KIB}",
        "secure_delete = FAST",
        "temp_store = MEMORY",
        "foreign_keys = ON",
    )
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if not pages:  # first of all, as only a file without tables takes it
        connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Brings an older file to this version, all at once. If that fails, the caller closes the
    connection, and nothing has happened.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version < VERSION:
        steps = " ".join(MIGRATIONS[version:])
        try:
            connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {VERSION};")
        except sqlite3.Error as error:
            code = error.sqlite_errorcode & 0xFF  # the steps are right, so what they read is not
            if code not in (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR):
                raise
            raise damaged(path, f"not a version {version} that is whole ({error})") from error
        _check_rows(connection, path)
        connection.execute("COMMIT")
    (vacuum,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    if vacuum != _INCREMENTAL:  # of version 1, or the process was killed before it came to this
        connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        connection.execute("VACUUM")


def _check_rows(connection: sqlite3.Connection, path: Path) -> None:
    """What SQLite cannot know: that the rows fit together."""
    lost = Counter(
        (table, parent) for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check")
    )
    for (table, parent), count in lost.items():
        raise damaged(path, f"{count} rows of {table} belong to {parent} that are not there")
    events, without_spec = connection.execute(
        "SELECT COUNT(*), TOTAL(job NOT NULL AND job NOT IN (SELECT number FROM specs)) FROM events"
    ).fetchone()
    if without_spec:
        raise damaged(path, f"{without_spec:g} rows of events belong to specs that are not there")
    committed, last = connection.execute(
        "SELECT TOTAL(last_event - first_event + 1), MAX(last_event) FROM turns"
    ).fetchone()
    if events != committed:
        raise damaged(path, f"it has {events} events of the {committed:g} that were committed")
    if last != connection.execute("SELECT MAX(id) FROM events").fetchone()[0]:
        raise damaged(path, f"event {last} was committed and is not there")
    numbers = [number for (number,) in connection.execute("SELECT next_number FROM meta")]
    (highest,) = connection.execute("SELECT COALESCE(MAX(number), 0) FROM jobs").fetchone()
    if len(numbers) != 1 or numbers[0] <= highest:
        raise damaged(path, f"the next job's number is {numbers}, and there is a job {highest}")
