"""A commit is all there or not at all, and what it leaves behind is what was said."""

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from iris.controller.state.events import JobSubmitted, SliceGone
from iris.controller.state.records import TaskRecord
from iris.controller.store import Changes, Database
from iris.controller.store.rows import encode
from iris.controller.store.sample_records import (
    ATTEMPT,
    EVERYTHING,
    JOB,
    NOW,
    SPEC,
    TASK,
    change,
    counts,
    job,
    ran,
    rows,
    submitted,
)
from iris.model.errors import DataLoss, Internal, Unavailable
from iris.model.ids import AttemptUid, JobId, SliceId
from iris.model.states import JobState

GONE = SliceGone(NOW, SliceId("s"), "idle", 0.5)
DAY = timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database.open(path, durable=False)
    yield database
    database.close()


def test_pruned_jobs_go_with_all_that_is_theirs(path: Path, database: Database) -> None:
    first, second = job(1), job(2)
    database.commit(submitted(first, second), Changes((first, second)))
    for each in (first, second):
        database.commit([], ran(each))
    database.commit([], Changes(pruned=(first.job_id, JobId("/never/stored"))))
    found = database.load()
    assert [found.jobs, found.attempts] == [ran(second).jobs, ran(second).attempts]
    assert list(found.tasks) == [second.job_id]
    database.close()
    assert [counts(path)[table] for table in ("jobs", "tasks", "attempts")] == [1, 1, 1]


def test_a_job_takes_the_name_of_another_in_one_turn(database: Database) -> None:
    old, new = job(1, "/alice/job"), job(2, "/alice/job")
    database.commit(submitted(old), Changes((old,)))
    database.commit([], ran(old))
    database.commit(submitted(new), Changes((new,), pruned=(new.job_id,)))
    found = database.load()
    assert (found.jobs, dict(found.tasks), found.attempts) == ((new,), {}, ())
    database.commit([], ran(new))
    assert database.load().attempts == ran(new).attempts
    # Or later.
    database.commit([], Changes(pruned=(new.job_id,)))
    newest = job(3, "/alice/job")
    database.commit(submitted(newest), Changes((newest,)))
    assert database.load().jobs == (newest,)
    assert list(database.events()) == submitted(old, new, newest)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (Changes((job(2, JOB.job_id),)), "/alice/train is stored, and is to be stored under"),
        (Changes((replace(JOB, job_id=JobId("/alice/other")),)), "Of 1 jobs that changed only 0"),
        (Changes(tasks=((JobId("/alice/none"), TASK),)), "/alice/none is not stored"),
        (Changes(attempts=(replace(ATTEMPT, job_id=JobId("/alice/none")),)), "is not stored"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    database: Database, changes: Changes, said: str
) -> None:
    database.commit(submitted(JOB), EVERYTHING)
    before = database.load()
    with pytest.raises(Internal, match=said):
        database.commit([GONE], changes)
    assert database.load() == before
    assert list(database.events()) == submitted(JOB)
    database.commit([GONE], ran(JOB))
    assert [*submitted(JOB), GONE] == list(database.events())


def test_numbers_are_never_used_again(path: Path) -> None:
    database = Database.open(path)
    assert database.load().next_number == 1
    database.commit(submitted(job(1)), Changes((job(1),)))
    assert database.load().next_number == 2
    database.commit([], Changes(next_number=5))
    database.commit([], Changes(pruned=(job(1).job_id,), next_number=3))
    assert database.load().next_number == 5
    database.close()
    again = Database.open(path)
    assert (again.load().next_number, again.load().jobs) == (5, ())
    again.close()


def test_tasks_that_nothing_happened_to_take_no_room(database: Database) -> None:
    many = replace(JOB, spec=replace(SPEC, replicas=1000))
    tasks = tuple((JOB.job_id, TaskRecord(index)) for index in range(1000))
    database.commit([], Changes((many,), tasks))
    assert database.load().tasks == {}


def test_a_specification_is_written_once(path: Path, database: Database) -> None:
    marked = replace(SPEC, env=(("MARK", "findme" * 10),))
    one = replace(JOB, spec=marked)
    database.commit(submitted(one), Changes((one,)))
    for version in range(10):
        database.commit([], Changes((replace(one, version=version),)))
    assert list(database.events()) == submitted(one)
    database.close()
    everything = [
        row
        for table, column in (("events", "event"), ("jobs", "record"), ("specs", "spec"))
        for (row,) in rows(path, f"SELECT {column} FROM {table}")
    ]
    assert sum(b"findme" in row for row in everything) == 1


def test_an_event_keeps_its_own_specification_if_the_job_has_another(database: Database) -> None:
    other = JobSubmitted(NOW, JOB.job_id, replace(SPEC, replicas=2))
    unknown = JobSubmitted(NOW, JobId("/alice/refused"), SPEC)
    database.commit([other, *submitted(JOB), unknown], Changes((JOB,)))
    assert list(database.events()) == [other, *submitted(JOB), unknown]
    assert database.load().jobs == (JOB,)


def test_a_specification_stays_as_long_as_its_job_or_its_event(path: Path) -> None:
    def specs_of(*, events_first: bool) -> list[int]:
        state = path.with_name(f"{events_first}.db")
        database = Database.open(state, durable=False)
        one = job(1)
        database.commit(submitted(one), Changes((one,)))
        database.commit([GONE], Changes())
        found = []
        for prune_events in (events_first, not events_first):
            if prune_events:
                assert database.prune_events(NOW + DAY) == 1
                assert list(database.events()) == [GONE]
            else:
                database.commit([], Changes(pruned=(one.job_id,)))
            assert database.load().jobs == ((one,) if prune_events and events_first else ())
            database.crash()
            found.append(counts(state)["specs"])
            database = Database.open(state, durable=False)
        assert database.load().jobs == ()
        database.close()
        return found

    assert specs_of(events_first=True) == [1, 0]
    assert specs_of(events_first=False) == [1, 0]


def test_old_turns_are_pruned_whole_and_the_latest_stays(path: Path, database: Database) -> None:
    for day in (1, 9, 2, 3):  # the clock was wrong once
        database.commit([replace(GONE, at=NOW + day * DAY)] * 3, Changes())
    assert database.has_every_event()
    while database.prune_events(NOW + 3 * DAY):
        pass
    assert [event.at for event in database.events()] == [NOW + 9 * DAY] * 3 + [NOW + 3 * DAY] * 3
    assert not database.has_every_event()
    while database.prune_events(NOW + 99 * DAY):
        pass
    assert [event.at for event in database.events()] == [NOW + 3 * DAY] * 3
    database.commit([replace(GONE, at=NOW + 4 * DAY)], Changes())
    database.close()
    assert rows(path, "SELECT number, first_event, last_event FROM turns") == [
        (4, 10, 12),
        (5, 13, 13),
    ]


def test_a_step_of_pruning_is_bounded(database: Database) -> None:
    for _ in range(60):
        database.commit([GONE] * 100, Changes())
    assert database.prune_events(NOW + DAY) == 1000
    assert sum(1 for _ in database.events()) == 5000


def test_what_was_committed_survives_a_crash_and_what_was_not_is_gone(path: Path) -> None:
    database = Database.open(path, durable=False)
    database.commit(submitted(JOB), EVERYTHING)
    stored = database.load()
    database._connection.execute("BEGIN")
    database._connection.execute("DELETE FROM tasks")
    database.crash()
    assert path.with_name("state.db-wal").stat().st_size > 0, "the file was brought in order"
    again = Database.open(path, durable=False)
    assert again.load() == stored
    again.crash()
    again.close()


@contextmanager
def no_room(database: Database) -> Iterator[None]:
    """The disk is full: SQLite may take no page more."""
    connection = database._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    connection.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def files_that_cannot_grow(database: Database) -> Iterator[None]:
    """Writes fail halfway, as they do when a quota is used up."""
    wal = database.path.with_name(database.path.name + "-wal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 100_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("trouble", [no_room, files_that_cannot_grow])
def test_a_full_disk_is_said_and_leaves_nothing_half_done(
    path: Path, trouble: Callable[[Database], AbstractContextManager[None]]
) -> None:
    database = Database.open(path)
    database.commit(submitted(JOB), EVERYTHING)
    before = database.load()
    many = [job(number) for number in range(2, 5000)]
    changes = Changes((*many, *ran(JOB).jobs))
    with trouble(database), pytest.raises(Unavailable, match="cannot be written") as caught:
        database.commit(submitted(*many), changes)
    assert "Make room" in caught.value.hint
    assert database.load() == before
    database.crash()
    again = Database.open(path)
    assert again.load() == before
    assert list(again.events()) == submitted(JOB)
    again.commit(submitted(*many), changes)
    assert len(again.load().jobs) == len(many) + 1
    again.close()


def test_a_disk_that_is_full_cannot_stop_pruning_for_good(path: Path, database: Database) -> None:
    for _ in range(20):
        database.commit([GONE] * 500, Changes())
    with no_room(database):
        while database.prune_events(NOW + DAY):
            pass
        database.commit([GONE] * 500, Changes())
    assert sum(1 for _ in database.events()) == 1000


@pytest.mark.parametrize(
    "record",
    [
        replace(ATTEMPT, uid=AttemptUid("b"), index=4),
        replace(ATTEMPT, uid=AttemptUid("b"), job_id=JobId("/alice/other")),
    ],
)
def test_an_attempt_of_no_task_is_data_loss(path: Path, record: object) -> None:
    database = Database.open(path)
    database.commit(submitted(JOB), EVERYTHING)
    database.close()
    said = encode(record).decode().replace("'", "''")
    change(path, f"INSERT INTO attempts VALUES (1, 3, 7, '{said}')")
    database = Database.open(path)
    with pytest.raises(DataLoss, match="is taken for a task of /alice/train"):
        database.load()
    database.close()


def test_a_busy_file_is_said_to_be_that(path: Path, database: Database) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database._connection.execute("PRAGMA busy_timeout = 1")
    with pytest.raises(Unavailable, match="Another program holds it"):
        database.commit([GONE], Changes())
    other.close()
    database.commit([GONE], Changes())


def test_only_the_state_of_jobs_changes_when_they_end(database: Database) -> None:
    database.commit(submitted(JOB), Changes((JOB,)))
    ended = replace(JOB, state=JobState.FAILED, error="exit code 3", finished_at=NOW + DAY)
    database.commit([], Changes((ended,)))
    assert database.load().jobs == (ended,)


def test_what_may_wait_for_the_disk_does_and_all_else_does_not(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "state.db")
    levels = []
    for soon in (True, False, True, True, False):
        database.commit([GONE], Changes(), soon=soon)
        levels += database._connection.execute("PRAGMA synchronous").fetchone()
    database.close()
    assert levels == [1, 2, 1, 1, 2]  # NORMAL and FULL
