"""The tables, and the steps from each version of them to the next."""

import sqlite3

from iris.model.errors import DataLoss, FailedPrecondition

# Step i leads from version i to i + 1. A step that was released is never changed: add one.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,          -- the order in which they happened
        kind TEXT NOT NULL,              -- the class's name
        event BLOB NOT NULL              -- JSON
    );
    CREATE TABLE jobs (
        job_id TEXT PRIMARY KEY,
        number INTEGER NOT NULL UNIQUE,
        record BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE tasks (                 -- only those that something happened to
        job_id TEXT NOT NULL,
        task_index INTEGER NOT NULL,
        record BLOB NOT NULL,
        PRIMARY KEY (job_id, task_index)
    ) WITHOUT ROWID;
    CREATE TABLE attempts (
        uid TEXT PRIMARY KEY,
        record BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE workers (
        worker_id TEXT PRIMARY KEY,
        record BLOB NOT NULL
    ) WITHOUT ROWID;
    """,
)
VERSION = len(MIGRATIONS)


def prepare(connection: sqlite3.Connection, name: str) -> None:
    """Checks the file and brings its tables to this version.

    Raises FailedPrecondition when it was written by a newer Iris, DataLoss when it is damaged.
    `name` is for the message.
    """
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        raise damaged(name, str(error)) from error
    if found != "ok":
        raise damaged(name, found)
    if version > VERSION:
        raise FailedPrecondition(
            f"The state {name} has version {version}; this Iris knows versions up to {VERSION}.",
            hint="Run the newer Iris that wrote it, or choose another state folder.",
        )
    for step in range(version, VERSION):
        connection.executescript(
            f"BEGIN; {MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;"
        )


def damaged(name: str, what: str) -> DataLoss:
    """What is said about a file that cannot be read."""
    return DataLoss(
        f"The state {name} is damaged: {what}.",
        hint="Restore a back-up, or move the file away to begin with no jobs.",
    )
