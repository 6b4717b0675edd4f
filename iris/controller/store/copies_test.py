"""A back-up is one moment of the state and whole; a restore happens entirely or not at all."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iris.controller.store import Changes, Database, copies, restore
from iris.controller.store.sample_records import EVERYTHING, JOB, change, job, rows, submitted
from iris.controller.store.schema import VERSION
from iris.model.errors import (
    AlreadyExists,
    DataLoss,
    FailedPrecondition,
    IrisError,
    NotFound,
    Unavailable,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "state.db", durable=False)
    database.commit(submitted(JOB), EVERYTHING)
    yield database
    database.close()


def jobs_in(path: Path) -> list[int]:
    database = Database.open(path, durable=False)
    try:
        return [job.number for job in database.load().jobs]
    finally:
        database.close()


def names(folder: Path) -> set[str]:
    """What is in a folder, but for the locks."""
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def test_a_back_up_is_one_moment_whatever_is_committed_meanwhile(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_PAGES_PER_STEP", 4)
    jobs = [job(number) for number in range(2, 500)]
    database.commit(submitted(*jobs), Changes(tuple(jobs)))
    during = []

    def commit_more() -> bool:
        more = job(500 + len(during))
        database.commit(submitted(more), Changes((more,)))
        during.append(more)
        return False

    database.back_up(tmp_path / "copy.db", stop=commit_more)
    assert len(during) > 5
    assert len(database.load().jobs) == 499 + len(during)
    # One file, readable by its owner only, and nothing beside it.
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert {name for name in names(tmp_path) if "copy" in name} == {"copy.db"}
    assert rows(tmp_path / "copy.db", "PRAGMA journal_mode") == [("delete",)]
    assert jobs_in(tmp_path / "copy.db") == list(range(1, 500))


def test_a_back_up_overwrites_nothing(tmp_path: Path, database: Database) -> None:
    target = tmp_path / "copy.db"
    target.write_bytes(b"precious")
    with pytest.raises(AlreadyExists, match=r"copy\.db"):
        database.back_up(target)
    target.unlink()

    def put_one_there() -> bool:
        target.write_bytes(b"precious")
        return False

    with pytest.raises(AlreadyExists, match="by now"):
        database.back_up(target, stop=put_one_there)
    assert target.read_bytes() == b"precious"
    assert {name for name in names(tmp_path) if "copy" in name} == {"copy.db"}


def test_a_back_up_that_is_given_up_leaves_nothing(tmp_path: Path, database: Database) -> None:
    before = names(tmp_path)
    with pytest.raises(Unavailable, match="given up"):
        database.back_up(tmp_path / "copy.db", stop=lambda: True)
    assert names(tmp_path) == before


def test_what_a_killed_back_up_left_is_in_nobodys_way(tmp_path: Path, database: Database) -> None:
    (tmp_path / ".copy.db.tmp").write_bytes(b"half a file")
    (tmp_path / ".copy.db.tmp-wal").write_bytes(b"half a file")
    database.back_up(tmp_path / "copy.db")
    assert {name for name in names(tmp_path) if "copy" in name} == {"copy.db"}


def test_a_back_up_that_cannot_be_written_says_so(tmp_path: Path, database: Database) -> None:
    with pytest.raises(Unavailable, match="cannot be made"):
        database.back_up(tmp_path / "missing" / "copy.db")


def test_a_back_up_of_a_damaged_state_does_not_pass_for_one(
    tmp_path: Path, database: Database
) -> None:
    database._connection.execute("DELETE FROM turns")
    before = names(tmp_path)
    with pytest.raises(DataLoss, match=r"state\.db is damaged: a copy of it fails the check"):
        database.back_up(tmp_path / "copy.db")
    assert names(tmp_path) == before


@pytest.fixture
def backup(tmp_path: Path, database: Database) -> Path:
    """Of when there was one job. There are two now."""
    backup = tmp_path / "copy.db"
    database.back_up(backup)
    database.commit(submitted(job(2)), Changes((job(2),)))
    database.crash()
    return backup


def test_a_restore_brings_back_what_was(tmp_path: Path, backup: Path) -> None:
    state = tmp_path / "state.db"
    kept = restore(backup, state, replace=True)
    assert kept == tmp_path / "state.db.replaced-1"
    assert jobs_in(state) == [1]
    assert jobs_in(backup) == [1]
    # Also what was only in its WAL.
    assert jobs_in(kept) == [1, 2]
    assert restore(kept, state, replace=True) == tmp_path / "state.db.replaced-2"
    assert jobs_in(state) == [1, 2]


def test_a_restore_to_where_nothing_is_needs_no_word(tmp_path: Path, backup: Path) -> None:
    target = tmp_path / "new.db"
    # What is left of a state whose file somebody removed would be taken for the new one's.
    os.link(tmp_path / "state.db-wal", tmp_path / "new.db-wal")
    assert restore(backup, target) is None
    assert {name for name in names(tmp_path) if "new" in name} == {"new.db"}
    assert jobs_in(target) == [1]


def not_there(backup: Path) -> None:
    backup.unlink()


def damaged(backup: Path) -> None:
    data = bytearray(backup.read_bytes())
    data[4096 * 3 : 4096 * 6] = b"\xa5" * 4096 * 3
    backup.write_bytes(data)


def inconsistent(backup: Path) -> None:
    change(backup, "DELETE FROM jobs")


def newer(backup: Path) -> None:
    change(backup, f"PRAGMA user_version = {VERSION + 1}")


def of_another(backup: Path) -> None:
    change(backup, "PRAGMA application_id = 42")


def empty(backup: Path) -> None:
    backup.write_bytes(b"")


def without_tables(backup: Path) -> None:
    backup.unlink()
    change(backup, "PRAGMA journal_mode = WAL")


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (not_there, NotFound),
        (empty, DataLoss),
        (without_tables, FailedPrecondition),
        (damaged, DataLoss),
        (inconsistent, DataLoss),
        (newer, FailedPrecondition),
        (of_another, FailedPrecondition),
    ],
)
def test_what_is_no_back_up_is_refused_and_the_state_stays(
    tmp_path: Path, backup: Path, spoil: Callable[[Path], None], error: type[IrisError]
) -> None:
    spoil(backup)
    before = names(tmp_path)
    with pytest.raises(error, match=r"copy\.db"):
        restore(backup, tmp_path / "state.db", replace=True)
    assert names(tmp_path) == before
    assert jobs_in(tmp_path / "state.db") == [1, 2]


def test_a_state_is_not_replaced_unless_that_is_said(tmp_path: Path, backup: Path) -> None:
    with pytest.raises(AlreadyExists, match=r"state\.db"):
        restore(backup, tmp_path / "state.db")
    assert jobs_in(tmp_path / "state.db") == [1, 2]


def test_a_restore_that_was_cut_short_counts_before_the_next_one(
    tmp_path: Path, backup: Path
) -> None:
    (tmp_path / "state.db").unlink()
    backup.rename(tmp_path / "state.db.restoring")
    Database.open(tmp_path / "another.db").close()
    with pytest.raises(AlreadyExists, match=r"state\.db"):
        restore(tmp_path / "another.db", tmp_path / "state.db")
    assert jobs_in(tmp_path / "state.db") == [1]


def test_a_state_that_is_in_use_is_not_replaced(tmp_path: Path, backup: Path) -> None:
    database = Database.open(tmp_path / "state.db")
    with pytest.raises(FailedPrecondition, match="Another controller uses"):
        restore(backup, tmp_path / "state.db", replace=True)
    database.close()


class Crash(BaseException):
    """The process ends here."""


def test_a_restore_that_is_cut_short_anywhere_happens_or_does_not(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.back_up(tmp_path / "copy.db")
    database.commit(submitted(job(2)), Changes((job(2),)))
    database.crash()
    original = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    outcomes = []
    for steps in range(100):
        folder = tmp_path / str(steps)
        folder.mkdir()
        for name, data in original.items():
            (folder / name).write_bytes(data)
        with monkeypatch.context() as patch:
            crash_after(steps, patch)
            try:
                restore(folder / "copy.db", folder / "state.db", replace=True)
                finished = True
            except Crash:
                finished = False
        found = jobs_in(folder / "state.db")
        replaced = folder / "state.db.replaced-1"
        assert found == ([1] if replaced.exists() else [1, 2]), steps
        if replaced.exists():
            assert jobs_in(replaced) == [1, 2], steps
        assert not any("restoring" in name for name in names(folder)), steps
        outcomes.append(found)
        if finished:
            break
    assert finished
    assert outcomes == sorted(outcomes, reverse=True), "it happened and then did not"
    assert [1, 2] in outcomes
    assert outcomes.count([1]) > 3


def crash_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """The process ends instead of the file operation after so many."""
    left = steps

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **keywords: object) -> object:
            nonlocal left
            if left <= 0:
                raise Crash
            left -= 1
            return real(*args, **keywords)

        return step

    for owner, name in ((Path, "rename"), (Path, "unlink"), (os, "fsync"), (copies, "_copy")):
        patch.setattr(owner, name, counted(getattr(owner, name)))
