"""However much has happened, the file stays as large as what there is to remember."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from iris.controller.store import Changes, Database
from iris.controller.store.sample_records import NOW, counts, job, ran, rows, submitted

JOBS = 400
DAY = timedelta(days=1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "state.db", durable=False)
    yield database
    database.close()


def wal_bytes(database: Database) -> int:
    return database.path.with_name(database.path.name + "-wal").stat().st_size


def live_through(database: Database, day: int, jobs: int) -> None:
    """A day's jobs come, end, and those of the day before are forgotten with what they did."""
    first = 1 + day * JOBS
    new = tuple(job(first + i) for i in range(jobs))
    database.commit(submitted(*new, at=NOW + day * DAY), Changes(new))
    for each in new:
        database.commit([], ran(each))
    gone = tuple(each.job_id for each in database.load().jobs if each.number < first)
    database.commit([], Changes(pruned=gone))
    while database.prune_events(NOW + day * DAY):
        pass
    while database.shrink():
        pass


def test_the_file_does_not_grow_from_day_to_day(database: Database) -> None:
    sizes = []
    for day in range(12):
        live_through(database, day, JOBS)
        (pages,) = database._connection.execute("PRAGMA page_count").fetchone()
        sizes.append(pages)
    assert max(sizes[3:]) <= max(sizes[:3]) * 1.1, sizes
    database.close()
    assert counts(database.path) == {
        "events": JOBS, "turns": 1, "specs": JOBS, "jobs": JOBS, "tasks": JOBS, "attempts": JOBS,
        "workers": 0,
    }  # fmt: skip


def test_the_file_shrinks_after_a_rush(database: Database) -> None:
    rush = tuple(job(number) for number in range(1, 10_001))
    database.commit(submitted(*rush), Changes(rush))
    database.commit(submitted(job(10_001), at=NOW + DAY), Changes((job(10_001),)))
    (before,) = database._connection.execute("PRAGMA page_count").fetchone()
    database.commit([], Changes(pruned=tuple(job.job_id for job in rush)))
    steps = []
    while database.prune_events(NOW + DAY):
        pass
    while given_back := database.shrink():
        steps.append(given_back)
    assert max(steps) <= 256, "a step is bounded"
    database.close()
    ((after,),) = rows(database.path, "PRAGMA page_count")
    assert after < before / 3
    # What SQLite kept about the pages that are gone is gone with them.
    assert sum(steps) <= before - after <= sum(steps) + 2
    assert database.path.stat().st_size == after * 4096


def test_the_wal_is_brought_into_the_file_again_and_again(database: Database) -> None:
    largest = 0
    for turn in range(80):
        jobs = tuple(job(1 + turn * 500 + i) for i in range(500))
        database.commit(submitted(*jobs), Changes(jobs))
        largest = max(largest, wal_bytes(database))
    written = 80 * 500 * 500
    assert largest < 20 << 20, largest
    assert database.path.stat().st_size + wal_bytes(database) > written / 2


def test_what_one_large_turn_made_of_the_wal_is_cut_back(database: Database) -> None:
    connection = database._connection
    assert connection.execute("PRAGMA journal_size_limit").fetchone() == (64 << 20,)
    connection.execute("PRAGMA journal_size_limit = 1000000")
    connection.execute("PRAGMA wal_autocheckpoint = 100")
    jobs = tuple(job(number) for number in range(1, 20_001))
    database.commit(submitted(*jobs), Changes(jobs))
    large = wal_bytes(database)
    for _ in range(3):
        database.commit([], ran(jobs[0]))
    assert wal_bytes(database) <= 1_000_000 < large
