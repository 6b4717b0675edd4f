"""What is not a whole state of this version is refused, in one line that says why, and left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from iris.controller.store import Database
from iris.controller.store.opening import trouble
from iris.controller.store.sample_records import EVERYTHING, JOB, change, rows, submitted
from iris.controller.store.schema import APPLICATION_ID, VERSION
from iris.model.errors import DataLoss, FailedPrecondition, Internal, IrisError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def stored(path: Path) -> None:
    database = Database.open(path)
    database.commit(submitted(JOB), EVERYTHING)
    database.close()


def refused(path: Path, error: type[IrisError], said: str) -> IrisError:
    """The file and its folder are as they were, but for the lock."""
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises(error, match=said) as caught:
        Database.open(path)
    after = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    after.pop("state.db.lock")
    before.pop("state.db.lock", None)
    assert after == before
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


def test_what_a_newer_iris_wrote(path: Path) -> None:
    stored(path)
    change(path, f"PRAGMA user_version = {VERSION + 1}")
    refused(path, FailedPrecondition, f"has version {VERSION + 1}")


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE notes (text)",),
        ("CREATE TABLE notes (text)", "PRAGMA user_version = 1"),
        ("CREATE TABLE notes (text)", f"PRAGMA user_version = {VERSION}"),
        ("PRAGMA application_id = 42",),
        ("PRAGMA application_id = 42", "CREATE TABLE jobs (text)", "PRAGMA user_version = 2"),
        ("PRAGMA journal_mode = WAL", "CREATE TABLE notes (text)"),
    ],
)
def test_another_programs_database(path: Path, statements: tuple[str, ...]) -> None:
    change(path, *statements)
    refused(path, FailedPrecondition, "not the state of a controller")


def test_another_programs_database_that_it_has_not_closed(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE notes (text)")
        with pytest.raises(FailedPrecondition, match="not the state of a controller"):
            Database.open(path)
        assert connection.execute("SELECT COUNT(*) FROM notes").fetchone() == (0,)


@pytest.mark.parametrize("damage", [b"this is no database", b"SQLite format 3\0" + b"\xff" * 200])
def test_what_is_no_database(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    error = refused(path, DataLoss, "damaged")
    assert "Restore a back-up" in error.hint


def test_a_page_that_was_overwritten(path: Path) -> None:
    stored(path)
    data = bytearray(path.read_bytes())
    data[-4096 * 5 : -4096 * 2] = b"\xa5" * 4096 * 3
    path.write_bytes(data)
    refused(path, DataLoss, "damaged")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM jobs", "1 rows of (tasks|attempts) belong to jobs that are not there"),
        ("UPDATE attempts SET job = 7", "1 rows of attempts belong to jobs"),
        ("UPDATE tasks SET job = 7", "1 rows of tasks belong to jobs"),
        ("DELETE FROM specs", "1 rows of jobs belong to specs"),
        ("UPDATE events SET job = 7", "1 rows of events belong to specs"),
        ("DELETE FROM events", "it has 0 events of the 1 that were committed"),
        ("DELETE FROM turns", "it has 1 events of the 0 that were committed"),
        ("UPDATE events SET id = 2", "event 1 was committed and is not there"),
        ("UPDATE meta SET next_number = 1", r"number is \[1\], and there is a job 1"),
        ("DELETE FROM meta", r"number is \[\]"),
        ("INSERT INTO jobs SELECT 0, job_id, record FROM jobs", "more than one job /alice/train"),
    ],
)
def test_rows_that_do_not_belong_together(path: Path, statement: str, said: str) -> None:
    stored(path)
    change(path, "INSERT INTO specs SELECT 0, NULL, spec FROM specs", statement)
    error = refused(path, DataLoss, said)
    assert "Restore a back-up" in error.hint


@pytest.mark.parametrize("where", ["state.db", "missing/state.db"])
def test_what_cannot_be_opened(tmp_path: Path, where: str) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(FailedPrecondition, match=r"cannot be (opened|locked)"):
        Database.open(tmp_path / where)


def test_an_empty_file_is_a_new_state(path: Path) -> None:
    path.touch()
    Database.open(path).close()
    assert rows(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert rows(path, "PRAGMA user_version") == [(VERSION,)]
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_commits_are_on_disk_unless_that_is_not_wanted(path: Path) -> None:
    for durable, synchronous in ((True, 2), (False, 0)):
        database = Database.open(path, durable=durable)
        assert database._connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
        database.close()


def test_a_statement_that_is_wrong_is_our_fault(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.Error) as caught:
        connection.execute("SELECT nothing")
    assert isinstance(trouble(path, caught.value), Internal)
