"""The store itself: one connection, one thread, one transaction for each turn of the controller's
loop.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from iris.controller.state.events import Event
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord, WorkerRecord
from iris.controller.store import schema
from iris.controller.store.changes import Changes, Recovered
from iris.host.files import FileLock
from iris.model.errors import FailedPrecondition, Unavailable
from iris.model.ids import JobId

T = TypeVar("T")

# FULL: a commit is on disk before it is acknowledged, in WAL mode at the price of one fsync for the
# whole turn.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY")

_encode = msgspec.json.Encoder().encode
_decode_job = msgspec.json.Decoder(JobRecord).decode
_decode_task = msgspec.json.Decoder(TaskRecord).decode
_decode_attempt = msgspec.json.Decoder(AttemptRecord).decode
_decode_worker = msgspec.json.Decoder(WorkerRecord).decode


class Store:
    """Use from one event loop. SQLite runs in a thread of its own, which `close` ends."""

    def __init__(
        self, path: Path, lock: FileLock, thread: ThreadPoolExecutor, connection: sqlite3.Connection
    ) -> None:
        """See `open`."""
        self._path = path
        self._lock = lock
        self._thread = thread
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Opens the file, or makes it. Blocks.

        Raises FailedPrecondition when another process has it or a newer Iris wrote it, DataLoss
        when it is damaged. Nothing is changed then.
        """
        lock = FileLock(path.with_name(path.name + ".lock"))
        if not lock.acquire():
            raise FailedPrecondition(
                f"Another controller uses the state {path}.", hint="Stop it first."
            )
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        try:
            return cls(path, lock, thread, thread.submit(_connect, path).result())
        except BaseException:
            thread.shutdown()
            lock.let_go()
            raise

    async def commit(self, events: Sequence[Event], changes: Changes) -> None:
        """Writes all of it or nothing; once this returns it survives the end of this process and of
        the machine.

        Raises Unavailable (the disk is full, ...). The state in memory is then ahead of the file:
        its owner has to end.
        """

        def write() -> None:
            try:
                with self._connection:  # commits, or rolls back
                    self._connection.execute("BEGIN IMMEDIATE")
                    _write(self._connection, events, changes)
            except sqlite3.Error as error:
                raise Unavailable(
                    f"The state {self._path} cannot be written: {error}.",
                    hint="Make room on its disk and start again.",
                ) from error

        await self._in_thread(write)

    async def load(self) -> Recovered:
        """Everything there is. Raises DataLoss when it cannot be read."""
        try:
            return await self._in_thread(lambda: _load(self._connection))
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise schema.damaged(str(self._path), str(error)) from error

    async def back_up(self, target: Path) -> None:
        """Copies the present state into a new file, while this store goes on being used."""

        def copy() -> None:
            with sqlite3.connect(target) as copied:
                self._connection.backup(copied)
            copied.close()

        await self._in_thread(copy)

    def close(self) -> None:
        """Finishes what is under way and lets go of the file. Blocks. Idempotent."""
        try:
            self._thread.submit(self._connection.close).result()
        except RuntimeError:
            return  # closed before
        self._thread.shutdown()
        self._lock.let_go()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise FailedPrecondition(
            f"The state {path} cannot be opened: {error}.",
            hint="Is it a file, and may this user read and write it?",
        ) from error
    try:
        schema.prepare(connection, str(path))
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _write(connection: sqlite3.Connection, events: Sequence[Event], changes: Changes) -> None:
    connection.executemany(
        "INSERT INTO events (kind, event) VALUES (?, ?)",
        ((type(event).__name__, _encode(event)) for event in events),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)",
        ((job.job_id, job.number, _encode(job)) for job in changes.jobs),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?)",
        (
            (job_id, task.index, _encode(task))
            for job_id, task in changes.tasks
            if task != TaskRecord(task.index)
        ),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO attempts VALUES (?, ?)",
        ((attempt.uid, _encode(attempt)) for attempt in changes.attempts),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO workers VALUES (?, ?)",
        ((worker.worker_id, _encode(worker)) for worker in changes.workers),
    )
    connection.executemany(
        "DELETE FROM workers WHERE worker_id = ?", ((gone,) for gone in changes.gone_workers)
    )


def _load(connection: sqlite3.Connection) -> Recovered:
    def records(query: str, decode: Callable[[bytes], T]) -> Iterable[T]:
        return (decode(record) for (record,) in connection.execute(query))

    tasks: dict[JobId, list[TaskRecord]] = {}
    for job_id, record in connection.execute(
        "SELECT job_id, record FROM tasks ORDER BY job_id, task_index"
    ):
        tasks.setdefault(JobId(job_id), []).append(_decode_task(record))
    return Recovered(
        jobs=tuple(records("SELECT record FROM jobs ORDER BY number", _decode_job)),
        tasks={job_id: tuple(of_job) for job_id, of_job in tasks.items()},
        attempts=tuple(records("SELECT record FROM attempts", _decode_attempt)),
        workers=tuple(records("SELECT record FROM workers", _decode_worker)),
    )
