"""Log lines of a job's or a task's attempts for one caller, oldest first, and further ones as they
come.

Of each task the attempts come one after the other: the next one's lines follow once the one before
has ended and all of its lines were sent. Tasks are independent of each other.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import cast

from iris_proto import controller_pb2, job_pb2

from iris.controller.log_store import LogStore, StoredLine
from iris.controller.state.jobs import Job
from iris.controller.state.machine import ControllerState
from iris.controller.state.records import AttemptRecord
from iris.controller.watch import Watcher
from iris.model.errors import Unavailable
from iris.model.ids import task_id

# Lines in one message. A line has at most 32 KiB, a message at most 16 MiB.
_LINES_PER_MESSAGE = 400


@dataclass(slots=True)
class _Cursor:
    """How far one task has been sent. `line` is None until the attempt's first line is known."""

    attempt: int = 0
    line: int | None = None


class LogTail:
    """One call.

    Args:
        indices: The tasks whose lines are wanted.
        tail: Of each attempt that there is when the call begins, only so many last lines; 0: all.
        since_ns: Only lines at or after this (Unix time).
    """

    def __init__(
        self,
        state: ControllerState,
        logs: LogStore,
        job: Job,
        indices: Iterable[int],
        *,
        tail: int,
        since_ns: int,
    ) -> None:
        self._state = state
        self._logs = logs
        self._job = job
        self._cursors = {index: _Cursor() for index in indices}
        self._tail = tail
        self._since_ns = since_ns
        # Attempts that came later are shown from their first line.
        self._tailed = (
            {uid for index in self._cursors for uid in job.attempt_uids(index)} if tail else set()
        )

    async def so_far(self) -> AsyncIterator[controller_pb2.TailLogsResponse]:
        """What there is now, task by task."""
        for index in self._cursors:
            async for message in self._task(index):
                yield message

    async def follow(self, watcher: Watcher) -> AsyncIterator[controller_pb2.TailLogsResponse]:
        """What there is now and what comes, until the tasks have ended and all is sent.

        Raises Unavailable when the controller stops. `watcher` is one of the job's.
        """
        todo = set(self._cursors)
        while True:
            # Looked at first: what is written or ends from here on wakes the watcher again.
            ended = self._ended()
            for index in sorted(todo & self._cursors.keys()):
                async for message in self._task(index):
                    yield message
            if ended:
                return
            await watcher.wait()
            if watcher.closed:
                raise Unavailable("The controller is stopping.", hint="Ask again in a while.")
            _, todo = watcher.clear()

    def _ended(self) -> bool:
        if self._job.record.state.is_terminal:
            return True
        if len(self._cursors) == len(self._job.tasks):
            return False
        return all(self._job.tasks[index].state.is_terminal for index in self._cursors)

    async def _task(self, index: int) -> AsyncIterator[controller_pb2.TailLogsResponse]:
        cursor = self._cursors[index]
        while cursor.attempt < len(uids := self._job.attempt_uids(index)):
            attempt = self._state.jobs.attempt(uids[cursor.attempt])
            if attempt is None:
                return
            ended = attempt.state.is_terminal  # before its lines are read: no more come after
            async for message in self._attempt(attempt, cursor):
                yield message
            if not ended:
                return
            cursor.attempt, cursor.line = cursor.attempt + 1, None

    async def _attempt(
        self, attempt: AttemptRecord, cursor: _Cursor
    ) -> AsyncIterator[controller_pb2.TailLogsResponse]:
        if cursor.line is None:
            cursor.line = 0
            if attempt.uid in self._tailed:
                cursor.line = max(0, await self._logs.next_index(attempt.uid) - self._tail)
        while lines := await self._logs.read(attempt.uid, cursor.line, _LINES_PER_MESSAGE):
            first = cursor.line
            cursor.line += len(lines)
            for start, run in self._wanted(lines):
                yield controller_pb2.TailLogsResponse(
                    task_id=task_id(attempt.job_id, attempt.index),
                    attempt=attempt.number,
                    first_index=first + start,
                    lines=[
                        job_pb2.LogLine(
                            time_ns=line.time_ns,
                            stream=cast("job_pb2.LogStream", line.stream),
                            text=line.text,
                        )
                        for line in run
                    ],
                )

    def _wanted(self, lines: list[StoredLine]) -> list[tuple[int, list[StoredLine]]]:
        """Runs of consecutive lines that are young enough, with the position of their first."""
        runs: list[tuple[int, list[StoredLine]]] = []
        for position, line in enumerate(lines):
            if line.time_ns < self._since_ns:
                continue
            if runs and runs[-1][0] + len(runs[-1][1]) == position:
                runs[-1][1].append(line)
            else:
                runs.append((position, [line]))
        return runs
