"""Writes a turn's events and records. Its caller begins and ends the transaction."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from iris.controller.state.events import Event, JobSubmitted
from iris.controller.state.records import JobRecord, TaskRecord
from iris.controller.store import rows
from iris.controller.store.changes import Changes
from iris.model.errors import Internal
from iris.model.ids import JobId
from iris.model.states import TaskState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Counters:
    """How far the file is counted.

    Attributes:
        next_number: Of the next job.
        turn: The last one's number; 0 before the first.
        event: The last one's id; 0 before the first.
    """

    next_number: int
    turn: int
    event: int

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> "Counters":
        """As they are in the file."""
        (next_number,) = connection.execute("SELECT next_number FROM meta").fetchone()
        turn = connection.execute(
            "SELECT number, last_event FROM turns ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return cls(next_number, *(turn or (0, 0)))


def microseconds(moment: datetime) -> int:
    """Unix time. `moment` is aware."""
    return (moment - _EPOCH) // _MICROSECOND


class TurnWriter:
    """One turn. For one transaction, then thrown away.

    Args:
        numbers: Of every job that is stored. Only read.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        events: Sequence[Event],
        changes: Changes,
        before: Counters,
        numbers: Mapping[JobId, int],
    ) -> None:
        self._connection = connection
        self._events = events
        self._changes = changes
        self._before = before
        self._numbers = numbers
        self._new = {job.job_id: job for job in changes.jobs if job.number >= before.next_number}
        self._submitted: dict[int, int] = {}  # by the number of a new job, its JobSubmitted's id

    def note(self, numbers: dict[JobId, int]) -> None:
        """Brings the jobs' numbers up to date, once all is committed."""
        for job_id in self._changes.pruned:
            numbers.pop(job_id, None)
        numbers.update((job.job_id, job.number) for job in self._new.values())

    def write(self) -> Counters:
        """Writes all of it; returns the counters as they are once it is committed.

        Raises sqlite3.Error, or Internal when it does not fit to what is stored. What was written
        by then has to be rolled back.
        """
        self._prune()
        self._write_events()
        self._write_jobs()
        self._write_tasks()
        self._write_workers()
        return self._write_counters()

    def _prune(self) -> None:
        for job_id in self._changes.pruned:
            number = self._numbers.get(job_id)
            if number is None:
                continue
            for statement in (
                "DELETE FROM attempts WHERE job = ?",
                "DELETE FROM tasks WHERE job = ?",
                "DELETE FROM jobs WHERE number = ?",
                "DELETE FROM specs WHERE number = ?"
                " AND NOT EXISTS (SELECT 1 FROM events WHERE id = submitted)",
            ):
                self._connection.execute(statement, (number,))

    def _write_events(self) -> None:
        self._connection.executemany(
            "INSERT INTO events (id, kind, event, job) VALUES (?, ?, ?, ?)", self._event_rows()
        )

    def _event_rows(self) -> Iterator[tuple[int, str, bytes, int | None]]:
        for id_, event in enumerate(self._events, self._before.event + 1):
            job = self._new.get(event.job_id) if isinstance(event, JobSubmitted) else None
            if isinstance(event, JobSubmitted) and job is not None and _is_of(event, job):
                self._submitted[job.number] = id_
                yield id_, "JobSubmitted", rows.SUBMITTED.encode(event), job.number
            else:
                yield id_, type(event).__name__, rows.encode(event), None

    def _write_jobs(self) -> None:
        new = self._new.values()
        taken = (self._numbers.keys() & self._new.keys()).difference(self._changes.pruned)
        if taken:
            raise Internal(f"{min(taken)} is stored, and is to be stored under another number.")
        self._connection.executemany(
            "INSERT INTO specs (number, submitted, spec) VALUES (?, ?, ?)",
            (
                (job.number, self._submitted.get(job.number), rows.SPEC.encode(job.spec))
                for job in new
            ),
        )
        self._connection.executemany(
            "INSERT INTO jobs (number, job_id, record) VALUES (?, ?, ?)",
            ((job.number, job.job_id, rows.JOB.encode(job)) for job in new),
        )
        known = [job for job in self._changes.jobs if job.number < self._before.next_number]
        updated = self._connection.executemany(
            "UPDATE jobs SET record = ? WHERE number = ? AND job_id = ?",
            ((rows.JOB.encode(job), job.number, job.job_id) for job in known),
        ).rowcount
        if known and updated != len(known):
            raise Internal(f"Of {len(known)} jobs that changed only {updated} are stored.")

    def _write_tasks(self) -> None:
        self._put(
            "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?)",
            (
                (self._number_of(job_id), task.index, rows.encode(task))
                for job_id, task in self._changes.tasks
                if not _is_pristine(task)
            ),
        )
        self._put(
            "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?)",
            (
                (self._number_of(attempt.job_id), attempt.index, attempt.number,
                 rows.encode(attempt))
                for attempt in self._changes.attempts
            ),
        )  # fmt: skip

    def _write_workers(self) -> None:
        self._put(
            "INSERT OR REPLACE INTO workers VALUES (?, ?)",
            ((worker.worker_id, rows.encode(worker)) for worker in self._changes.workers),
        )
        self._put(
            "DELETE FROM workers WHERE worker_id = ?",
            ((gone,) for gone in self._changes.gone_workers),
        )

    def _write_counters(self) -> Counters:
        before = self._before
        highest = max((job.number for job in self._new.values()), default=0)
        next_number = max(before.next_number, self._changes.next_number, highest + 1)
        if next_number != before.next_number:
            self._connection.execute("UPDATE meta SET next_number = ?", (next_number,))
        if not self._events:
            return Counters(next_number, before.turn, before.event)
        after = Counters(next_number, before.turn + 1, before.event + len(self._events))
        self._connection.execute(
            "INSERT INTO turns (number, at, first_event, last_event) VALUES (?, ?, ?, ?)",
            (after.turn, microseconds(self._events[-1].at), before.event + 1, after.event),
        )
        return after

    def _put(self, statement: str, values: Iterable[tuple[Any, ...]]) -> None:
        self._connection.executemany(statement, values)

    def _number_of(self, job_id: JobId) -> int:
        new = self._new.get(job_id)
        number = self._numbers.get(job_id) if new is None else new.number
        if number is None:
            raise Internal(f"{job_id} is not stored, and a task of it is to be.")
        return number


def _is_of(event: JobSubmitted, job: JobRecord) -> bool:
    """Whether they may share one specification."""
    return event.spec is job.spec or event.spec == job.spec


def _is_pristine(task: TaskRecord) -> bool:
    # The first of these is what nearly all tasks that something happened to differ in.
    return task.state is TaskState.PENDING and task == TaskRecord(task.index)
