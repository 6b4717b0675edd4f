"""What was committed is there after any end; what was not, is not there at all."""

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from iris.controller.state.events import JobSubmitted, SliceGone
from iris.controller.state.records import (
    AttemptRecord,
    JobRecord,
    StopIntent,
    TaskRecord,
    Usage,
    WorkerRecord,
)
from iris.controller.store import Changes, Recovered, Store, schema
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.errors import DataLoss, FailedPrecondition
from iris.model.ids import AttemptUid, JobId, SliceId, WorkerId
from iris.model.job import Entrypoint, Gang, JobSpec
from iris.model.resources import Resources
from iris.model.states import JobState, TaskState

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SPEC = JobSpec(
    Entrypoint(("python3", "train.py")),
    Resources(500, 1 << 30, 0, (("tpu/v5litepod-16", 4),)),
    replicas=4,
    constraints=(Constraint("zone", ConstraintOp.IN, ("a", "b")),),
    gang=Gang("tpu-name"),
    env=(("A", "ü"),),
    stop_grace=timedelta(seconds=1.5),
)
JOB = JobRecord(JobId("/alice/train"), 1, SPEC, NOW, JobState.RUNNING, started_at=NOW, version=3)
TASK = TaskRecord(
    2,
    TaskState.RUNNING,
    failures=1,
    attempts=2,
    attempt_uid=AttemptUid("attempt-1"),
    not_before=NOW,
)
ATTEMPT = AttemptRecord(
    AttemptUid("attempt-1"), JOB.job_id, 2, 1, WorkerId("w/0"), "inc-1", NOW, TaskState.FAILED, exit_code=3,
    usage=Usage(1.5, 2, 3, 4), ports=(("http", 8080),), stop=StopIntent.KILL,
)  # fmt: skip
WORKER = WorkerRecord(
    WorkerId("w/0"),
    "inc-1",
    SliceId("s"),
    "cpu",
    Resources(1000),
    (("a", "b"),),
    "127.0.0.1",
    "none",
    "0",
    NOW,
)
EVERYTHING = Changes((JOB,), ((JOB.job_id, TASK),), (ATTEMPT,), (WORKER,))


async def test_everything_comes_back_equal(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    assert await store.load() == Recovered()
    await store.commit([JobSubmitted(NOW, JOB.job_id, SPEC)], EVERYTHING)
    store.close()
    store.close()
    again = Store.open(tmp_path / "state.db")
    assert await again.load() == Recovered((JOB,), {JOB.job_id: (TASK,)}, (ATTEMPT,), (WORKER,))
    again.close()


async def test_later_records_replace_earlier_ones_and_gone_workers_go(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    await store.commit([], EVERYTHING)
    ended = replace(JOB, state=JobState.SUCCEEDED, finished_at=NOW)
    await store.commit(
        [SliceGone(NOW, SliceId("s"), "idle", 0.5)],
        Changes(jobs=(ended,), gone_workers=(WORKER.worker_id,)),
    )
    found = await store.load()
    assert (found.jobs, found.workers) == ((ended,), ())
    store.close()


async def test_events_are_only_ever_added(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    for _ in range(3):
        await store.commit(
            [JobSubmitted(NOW, JOB.job_id, SPEC), SliceGone(NOW, SliceId("s"), "idle", 0.5)],
            Changes(),
        )
    store.close()
    with sqlite3.connect(tmp_path / "state.db") as connection:
        kinds = [kind for (kind,) in connection.execute("SELECT kind FROM events ORDER BY id")]
    connection.close()
    assert kinds == ["JobSubmitted", "SliceGone"] * 3


async def test_tasks_that_nothing_happened_to_take_no_room(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    await store.commit(
        [],
        Changes(jobs=(JOB,), tasks=tuple((JOB.job_id, TaskRecord(index)) for index in range(1000))),
    )
    assert (await store.load()).tasks == {}
    store.close()


async def test_a_second_controller_is_refused_in_one_line(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    with pytest.raises(FailedPrecondition, match="Another controller uses the state"):
        Store.open(tmp_path / "state.db")
    store.close()
    Store.open(tmp_path / "state.db").close()


def test_what_a_newer_iris_wrote_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    Store.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(FailedPrecondition, match=f"has version {schema.VERSION + 1}"):
        Store.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", [b"this is no database", b"SQLite format 3\0" + b"\xff" * 200])
def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(damage)
    with pytest.raises(DataLoss, match="damaged"):
        Store.open(path)
    assert path.read_bytes() == damage


async def test_a_record_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store.open(path)
    await store.commit([], EVERYTHING)
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("""UPDATE tasks SET record = '{"index": "two"}'""")
    connection.close()
    store = Store.open(path)
    with pytest.raises(DataLoss, match="damaged") as caught:
        await store.load()
    assert "\n" not in str(caught.value)
    store.close()


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(FailedPrecondition, match="cannot be opened"):
        Store.open(tmp_path / "state.db")


async def test_a_back_up_is_made_while_it_is_used(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    await store.commit([], EVERYTHING)
    await store.back_up(tmp_path / "copy.db")
    await store.commit([], Changes(gone_workers=(WORKER.worker_id,)))
    copy = Store.open(tmp_path / "copy.db")
    assert (await copy.load()).workers == (WORKER,)
    copy.close()
    store.close()


# Commits job after job and says so, until it is killed.
WRITER = """
import asyncio, pathlib, sys
from dataclasses import replace
from iris.controller.store import Changes, Store
from iris.controller.store.store_test import JOB, TASK
from iris.model.ids import JobId

async def main():
    store = Store.open(pathlib.Path(sys.argv[1]))
    number = len((await store.load()).jobs)
    while True:
        number += 1
        job = replace(JOB, job_id=JobId(f"/alice/job-{number}"), number=number)
        await store.commit([], Changes(jobs=(job,), tasks=((job.job_id, TASK),)))
        print(number, flush=True)

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    acknowledged = 0
    for round_ in range(5):
        argv = [sys.executable, "-c", WRITER, str(path)]
        environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as writer:
            assert writer.stdout is not None
            for _ in range(10 + 7 * round_):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
        store = Store.open(path)
        found = await store.load()
        store.close()
        numbers = [job.number for job in found.jobs]
        assert numbers == list(range(1, len(numbers) + 1))
        # The last one may have been committed without its word getting out.
        assert len(numbers) - acknowledged in (0, 1)
        assert set(found.tasks) == {job.job_id for job in found.jobs}
