"""For tests: records with something in every field, and jobs as many as are wanted."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from iris.controller.state.events import Event, JobSubmitted
from iris.controller.state.records import (
    AttemptRecord,
    JobRecord,
    StopIntent,
    TaskRecord,
    Usage,
    WorkerRecord,
)
from iris.controller.store import Changes
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.health import HealthProblem
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
    port_names=("http",),
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
    (HealthProblem("disk", "120 MiB free, needs 1 GiB"),),
    drained=True,
)
EVERYTHING = Changes((JOB,), ((JOB.job_id, TASK),), (ATTEMPT,), (WORKER,))


def job(number: int, name: str = "", **changes: Any) -> JobRecord:
    """A small job of its own; its specification is like no other's."""
    spec = JobSpec(Entrypoint(("python3", "sweep.py", str(number))), Resources(500), replicas=3)
    return replace(JobRecord(JobId(name or f"/alice/job-{number}"), number, spec, NOW), **changes)


def submitted(*jobs: JobRecord, at: datetime = NOW) -> list[Event]:
    """What made them."""
    return [JobSubmitted(at, job.job_id, job.spec) for job in jobs]


def ran(job: JobRecord) -> Changes:
    """The job as it ended, and a task and an attempt of it."""
    task = replace(TASK, index=0, state=TaskState.SUCCEEDED)
    attempt = replace(ATTEMPT, uid=AttemptUid(f"a-{job.number}"), job_id=job.job_id, index=0)
    ended = replace(job, state=JobState.SUCCEEDED, finished_at=NOW, version=9)
    return Changes((ended,), ((job.job_id, task),), (attempt,))


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """What a file that nobody has open says."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def change(path: Path, *statements: str) -> None:
    """Does something to a file that nobody has open that Iris never does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def counts(path: Path) -> dict[str, int]:
    """How many rows each table has."""
    tables: Iterable[str] = ("events", "turns", "specs", "jobs", "tasks", "attempts", "workers")
    return {table: rows(path, f"SELECT COUNT(*) FROM {table}")[0][0] for table in tables}
