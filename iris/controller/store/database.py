"""What survives the controller, in one SQLite file: the synchronous core, without a thread of its
own. `Store` runs one in a thread; a simulation uses it as it is.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from iris.controller.state.events import Event
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord
from iris.controller.store import rows
from iris.controller.store.changes import Changes, Recovered
from iris.controller.store.copies import back_up, finish_restore, take_lock
from iris.controller.store.opening import connect, connect_to_read, damaged, trouble
from iris.controller.store.turn import Counters, TurnWriter, microseconds
from iris.host.files import FileLock
from iris.model.errors import InvalidArgument
from iris.model.ids import JobId

T = TypeVar("T")

# One step of pruning deletes whole turns until it has so many events, or there are no more.
_EVENTS_PER_STEP = 1000
# One step of shrinking gives so many pages back to the disk; an eighth of the file, and no less
# than this, stays free for what comes next.
_PAGES_PER_STEP = 256
_SPARE_PAGES = 256
_SPARE_PART = 8
_ROWS_PER_READ = 1000
# See https://www.sqlite.org/pragma.html#pragma_synchronous.
_NORMAL = 1


class Database:
    """Every call is one transaction. For one thread at a time; `back_up` is for any.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, lock: FileLock, connection: sqlite3.Connection) -> None:
        """See `open`."""
        self.path = path
        self._lock = lock
        self._connection = connection
        self._counters = Counters.read(connection)
        (self._synchronous,) = self._rows("PRAGMA synchronous").fetchone()
        self._is_soon = False
        self._numbers: dict[JobId, int] = {}
        for job_id, number in self._rows("SELECT job_id, number FROM jobs"):
            if self._numbers.setdefault(job_id, number) != number:
                raise damaged(path, f"there is more than one job {job_id}")

    @classmethod
    def open(cls, path: Path, *, durable: bool = True) -> "Database":
        """Opens the file, or makes it. A restore that was interrupted is finished first.

        Not `durable`, commits survive the end of the process but not of the machine, and take a
        fraction of the time.

        Raises FailedPrecondition when another process has it, a newer Iris wrote it or it is no
        state of ours, DataLoss when it is damaged: nothing is changed then. Unavailable when it is
        of an older version and there is no room to bring it to this one.
        """
        lock = take_lock(path)
        try:
            finish_restore(path)
            connection = connect(path, durable=durable)
            try:
                return cls(path, lock, connection)
            except BaseException:
                connection.close()
                raise
        except BaseException:
            lock.let_go()
            raise

    def commit(self, events: Sequence[Event], changes: Changes, *, soon: bool = False) -> None:
        """Writes all of it or nothing. `soon`: what the end of the machine may undo until a later
        commit, without `soon`, returns; it does not wait for the disk.

        Raises Unavailable (the disk is full, ...) or Internal (it does not fit to what is stored).
        The state in memory is then ahead of the file: its owner has to end.
        """
        writer = TurnWriter(self._connection, events, changes, self._counters, self._numbers)
        if soon != self._is_soon:
            # In WAL mode: whether the log is synchronised with the disk at each commit.
            level = min(_NORMAL, self._synchronous) if soon else self._synchronous
            self._rows(f"PRAGMA synchronous = {level}")
            self._is_soon = soon
        self._counters = self._transact(writer.write)
        writer.note(self._numbers)

    def load(self) -> Recovered:
        """The records. Raises DataLoss when they cannot be read."""
        with self._in_our_words():
            jobs = {job.number: job for job in self._jobs()}
            tasks: dict[JobId, list[TaskRecord]] = {}
            for number, record in self._rows("SELECT job, record FROM tasks"):
                task = rows.decode_task(record)
                self._check_belongs(jobs[number], jobs[number].job_id, task.index)
                tasks.setdefault(jobs[number].job_id, []).append(task)
            attempts: list[AttemptRecord] = []
            for number, record in self._rows("SELECT job, record FROM attempts"):
                attempt = rows.decode_attempt(record)
                self._check_belongs(jobs[number], attempt.job_id, attempt.index)
                attempts.append(attempt)
            workers = self._rows("SELECT record FROM workers")
            # The same strings as those of the records.
            self._numbers = {job.job_id: number for number, job in jobs.items()}
            return Recovered(
                jobs=tuple(jobs.values()),
                tasks={job_id: tuple(of_job) for job_id, of_job in tasks.items()},
                attempts=tuple(attempts),
                workers=tuple(rows.decode_worker(record) for (record,) in workers),
                next_number=self._counters.next_number,
            )

    def load_scaling(self) -> dict[str, bytes]:
        """What the autoscaler saved last, by scale group. Raises DataLoss when it cannot be read."""
        with self._in_our_words():
            return dict(self._rows("SELECT scale_group, record FROM scaling").fetchall())

    def save_scaling(self, records: Mapping[str, bytes]) -> None:
        """Replaces what is kept of these scale groups. Raises Unavailable; nothing is changed then."""
        self._transact(
            lambda: self._connection.executemany(
                "INSERT OR REPLACE INTO scaling VALUES (?, ?)", records.items()
            )
        )

    def events(self) -> Iterator[Event]:
        """All events that were not pruned, oldest first, also those that are committed meanwhile.

        Raises DataLoss when they cannot be read.
        """
        after = 0
        while True:
            with self._in_our_words():
                found = self._rows(
                    "SELECT id, kind, event, spec FROM events LEFT JOIN specs ON number = job"
                    f" WHERE id > ? ORDER BY id LIMIT {_ROWS_PER_READ}",
                    after,
                ).fetchall()
                events = [rows.decode_event(kind, event, spec) for _, kind, event, spec in found]
            if not found:
                return
            yield from events
            after = found[-1][0]

    def has_every_event(self) -> bool:
        """Whether nothing was ever pruned from the events."""
        with self._in_our_words():
            (turns,) = self._rows("SELECT COUNT(*) FROM turns").fetchone()
            return bool(turns == self._counters.turn)

    def prune_events(self, before: datetime) -> int:
        """Deletes events of turns that ended before that, a bounded number; returns how many.

        0: there are no more. The latest turn stays whatever its age. Raises Unavailable.
        """
        return self._transact(lambda: self._prune(microseconds(before)))

    def shrink(self) -> int:
        """Gives free pages back to the disk, a bounded number; returns how many.

        0: what is free is kept for what comes next. Raises Unavailable.
        """
        with self._in_our_words():
            (free,) = self._rows("PRAGMA freelist_count").fetchone()
            (pages,) = self._rows("PRAGMA page_count").fetchone()
            spare = max(_SPARE_PAGES, pages // _SPARE_PART)
            extra: int = min(free - spare, _PAGES_PER_STEP)
            if extra <= 0:
                return 0
            # It gives one page with each step; `execute` takes but one step of what has no columns.
            self._connection.executescript(f"PRAGMA incremental_vacuum({extra})")
            return extra

    def back_up(self, target: Path, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Copies the present state into a new file, while this goes on being used. For any thread.

        It is seen under its name once it is whole, checked and on disk, and not before. `stop` is
        asked now and then whether to give up.

        Raises AlreadyExists when there is such a file, Unavailable when it cannot be written or was
        given up. Nothing is left of it then.
        """
        back_up(self.path, target, stop=stop)

    def close(self) -> None:
        """Lets go of the file. Idempotent."""
        self._connection.close()
        self._lock.let_go()

    def crash(self) -> None:
        """Lets go of the file as the end of the process would: nothing is brought in order, and
        what was not committed is gone.
        """
        # Only the last connection to leave brings the WAL into the file. One that only reads cannot.
        with contextlib.closing(connect_to_read(self.path)) as other:
            other.execute("SELECT one FROM meta").fetchall()
            self.close()

    def _jobs(self) -> Iterator[JobRecord]:
        for number, job_id, record, spec in self._rows(
            "SELECT number, job_id, record, spec FROM jobs JOIN specs USING (number)"
            " ORDER BY number"
        ):
            yield rows.JOB.decode(record, job_id=job_id, number=number, spec=rows.decode_spec(spec))

    def _prune(self, before: int) -> int:
        turns = self._rows(
            "SELECT number, first_event, last_event FROM turns WHERE at < ? AND number < ?"
            f" ORDER BY at LIMIT {_EVENTS_PER_STEP}",
            before,
            self._counters.turn,
        ).fetchall()
        deleted = 0
        for number, first, last in turns:
            for statement in (
                "DELETE FROM specs WHERE number IN"
                " (SELECT job FROM events WHERE id BETWEEN ? AND ? AND job NOT NULL)"
                " AND number NOT IN (SELECT number FROM jobs)",
                "DELETE FROM events WHERE id BETWEEN ? AND ?",
            ):
                self._rows(statement, first, last)
            self._rows("DELETE FROM turns WHERE number = ?", number)
            deleted += last - first + 1
            if deleted >= _EVENTS_PER_STEP:
                break
        return deleted

    def _check_belongs(self, job: JobRecord, job_id: JobId, index: int) -> None:
        if job_id != job.job_id or not 0 <= index < job.spec.replicas:
            raise damaged(
                self.path, f"{job_id}/{index} is taken for a task of {job.job_id}, which has none"
            )

    def _rows(self, statement: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(statement, values)

    @contextlib.contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except (msgspec.MsgspecError, InvalidArgument) as error:
            raise damaged(self.path, str(error)) from error
        except sqlite3.Error as error:
            raise trouble(self.path, error) from error

    def _transact(self, work: Callable[[], T]) -> T:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            done = work()
            self._connection.execute("COMMIT")
            return done
        except sqlite3.Error as error:
            raise trouble(self.path, error) from error
        finally:
            # SQLite itself has rolled back after some errors, not after all. What went wrong first
            # is what there is to tell.
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.rollback()
