"""Log lines of a job's or a task's attempts for one caller, oldest first, and further ones as they
come.

Of each task the attempts come one after the other: the next one's lines follow once the one before
has ended and all of its lines were sent. Tasks are independent of each other.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import cast

from iris_proto import controller_pb2, job_pb2

from iris.controller.log_filter import LogFilter
from iris.controller.log_store import LogPart, LogStore
from iris.controller.state.jobs import Job
from iris.controller.state.machine import ControllerState
from iris.controller.state.records import AttemptRecord
from iris.controller.watch import Watcher
from iris.model.errors import Unavailable
from iris.model.ids import AttemptUid, task_id

# Bounds on one message, well within what a channel takes, and on what is searched at a time.
_LINES_PER_MESSAGE = 5_000
_BYTES_PER_MESSAGE = 1 << 20


@dataclass(slots=True)
class _Cursor:
    """How far one task has been sent. `line` is None until the attempt's first line is known."""

    attempt: int = 0
    line: int | None = None


class LogTail:
    """One call.

    Args:
        indices: The tasks whose lines are wanted.
        tail: Of each attempt that there is when the call begins, only so many last lines of those
            that `wanted` takes; 0: all.
        since_ns: Only lines at or after this (Unix time).
        wanted: Only these lines.
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
        wanted: LogFilter,
    ) -> None:
        self._state = state
        self._logs = logs
        self._job = job
        self._cursors = {index: _Cursor() for index in indices}
        self._tail = tail
        self._since_ns = since_ns
        self._wanted = wanted
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
                cursor.line = await self._start_of_tail(attempt.uid)
        while True:
            part = await self._logs.read(
                attempt.uid, cursor.line, _LINES_PER_MESSAGE, _BYTES_PER_MESSAGE
            )
            message = controller_pb2.TailLogsResponse(
                task_id=task_id(attempt.job_id, attempt.index),
                attempt=attempt.number,
                first_index=part.first_index,
            )
            if part.first_index > cursor.line:
                self._say_dropped(message, attempt, cursor.line, part)
            cursor.line = part.first_index
            if part.runs:
                cursor.line = self._add(message, part)
            if message.runs:
                yield message
            if not part.runs:
                return

    async def _start_of_tail(self, uid: AttemptUid) -> int:
        """The first of an attempt's last lines that the caller wants."""
        end = await self._logs.next_index(uid)
        if self._wanted.takes_all:
            return max(0, end - self._tail)
        missing = self._tail
        while end > 0:
            begin = max(0, end - _LINES_PER_MESSAGE)
            hits, first = await self._hits(uid, begin, end)
            if len(hits) >= missing:
                return hits[-missing]
            missing -= len(hits)
            if first > begin:
                return 0  # the lines before are gone, which then is said
            end = begin
        return 0

    async def _hits(self, uid: AttemptUid, begin: int, end: int) -> tuple[list[int], int]:
        """The indices from `begin` up to `end` of lines that are wanted, and that of the first line
        that there is.
        """
        hits: list[int] = []
        first: int | None = None
        while begin < end:
            part = await self._logs.read(uid, begin, end - begin, _BYTES_PER_MESSAGE)
            first = part.first_index if first is None else first
            if not part.runs:
                break
            index = part.first_index
            for run in part.runs:
                for start, match in self._wanted.matches(run):
                    hits += range(index + start, index + start + match.lines)
                index += run.lines
            begin = index
        return hits, begin if first is None else first

    def _add(self, message: controller_pb2.TailLogsResponse, part: LogPart) -> int:
        """Puts what is wanted of the part into the message; returns the index after the part."""
        index = sent = part.first_index
        for run in part.runs:
            if run.time_ns >= self._since_ns:
                for start, match in self._wanted.matches(run):
                    message.runs.add(
                        time_ns=run.time_ns,
                        stream=cast("job_pb2.LogStream", run.stream),
                        text=match.text,
                        skipped=index + start - sent,
                    )
                    sent = index + start + match.lines
            index += run.lines
        return index

    def _say_dropped(
        self,
        message: controller_pb2.TailLogsResponse,
        attempt: AttemptRecord,
        asked: int,
        part: LogPart,
    ) -> None:
        """A line in place of the last one that is gone, unless all of those were too old anyway."""
        gone = part.first_index - asked
        ended = attempt.finished_at or attempt.assigned_at
        time_ns = part.runs[0].time_ns if part.runs else int(ended.timestamp() * 1e9)
        if time_ns < self._since_ns:
            return
        message.first_index = part.first_index - 1
        text = f"{gone} lines are gone: logs are kept only up to a size (retention.log_bytes...)."
        message.runs.add(time_ns=time_ns, stream=job_pb2.SYSTEM, text=text.encode())
