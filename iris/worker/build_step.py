"""Runs one program to its end before a task starts, and shows what it writes line by line.

It runs as a task does, contained by the same runtime: it can be stopped at any time, its time is
bounded, and no process of it is left. Nothing is ever forked from our own process.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from iris.host.clock import Clock
from iris.worker.logs.log_buffer import LogBuffer
from iris.worker.logs.log_pump import LogPump
from iris.worker.logs.redaction import Redaction
from iris.worker.protocols import ContainerRuntime, ExitReport, RunHandle, RunRequest
from iris.worker.runtime.signals import signal_name

# Lines that an error repeats, and the most characters of each.
_LAST_LINES = 10
_LAST_LINE_CHARACTERS = 1000
# Output that was read and not yet sink.
_HELD_BYTES = 256 << 10
_CANCELLED = "it is not wanted any more"


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How it ended.

    Attributes:
        problem: What went wrong, without a name of the program: "exited with code 1"; empty if
            nothing did.
        last_lines: Of its output.
    """

    report: ExitReport
    problem: str
    last_lines: tuple[str, ...]

    def describe(self) -> str:
        """What went wrong, and the last lines."""
        if not self.last_lines:
            return f"{self.problem}, without a word."
        return f"{self.problem}. Its last lines:\n" + "\n".join(self.last_lines)


class LineSink:
    """Where a step's lines go.

    Attributes:
        has_room: Asked before more is read: while there is no room the program blocks when it
            writes, as on any pipe. Whoever has room again calls `on_room`.
    """

    def __init__(
        self,
        show: Callable[[list[bytes]], None],
        *,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self.show = show
        self.has_room = has_room
        self.on_room: Callable[[], None] = lambda: None


_NO_REDACTION = Redaction()


async def run_step(
    runtime: ContainerRuntime,
    request: RunRequest,
    sink: LineSink,
    *,
    time_limit: timedelta,
    clock: Clock,
    redaction: Redaction = _NO_REDACTION,
) -> StepEnd:
    """Runs it until it has ended. Cancelled, it kills it, and returns when nothing of it is left.

    Raises Unavailable, FailedPrecondition: see ContainerRuntime.run.
    """
    handle = await runtime.run(request)
    output = _Output(sink)
    pump = LogPump(output.buffer, handle.stdout, handle.stderr, clock, redaction)
    try:
        timed_out = await _ended_in_time(handle, time_limit, clock)
        report = await handle.wait()
        pump.tree_ended()
        await pump.finished()
        await output.drained()
    except BaseException:
        await _kill(handle)
        pump.abandon()
        raise
    finally:
        sink.on_room = lambda: None
    return StepEnd(report, _problem(report, timed_out, time_limit), output.last_lines())


async def _ended_in_time(handle: RunHandle, time_limit: timedelta, clock: Clock) -> bool:
    """Whether it had to be stopped for lack of time."""
    ended = asyncio.ensure_future(handle.wait())
    time_is_up = asyncio.ensure_future(clock.sleep(time_limit.total_seconds()))
    try:
        await asyncio.wait({ended, time_is_up}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return False
        handle.stop(f"it took longer than {time_limit}")
        return True
    finally:
        ended.cancel()
        time_is_up.cancel()


async def _kill(handle: RunHandle) -> None:
    """Whatever else is cancelled: when this is over, no process is left."""
    handle.stop(_CANCELLED, timedelta(0))
    ended = asyncio.ensure_future(handle.wait())
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError:
            continue


def _problem(report: ExitReport, timed_out: bool, time_limit: timedelta) -> str:
    if timed_out:
        return f"did not end within {time_limit} and was killed"
    if report.error:
        return f"failed: {report.error.rstrip('.')}"
    if report.signal is not None:
        return f"was killed by {signal_name(report.signal)}"
    return f"exited with code {report.exit_code}" if report.exit_code else ""


class _Output:
    """What was read of the program's output, until there is room to show it."""

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink
        self._last: deque[bytes] = deque(maxlen=_LAST_LINES)
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self.buffer = LogBuffer(capacity_bytes=_HELD_BYTES, on_lines=self._show)
        sink.on_room = self._show

    def _show(self) -> None:
        while self.buffer.has_unsent and self._sink.has_room():
            batch = self.buffer.take(1000, _HELD_BYTES)
            lines = [line.text for line in batch.lines]
            self._last.extend(lines)
            self._sink.show(lines)
            self.buffer.acknowledge(batch.first_index + len(lines))
        if self.buffer.has_unsent:
            self._is_empty.clear()
        else:
            self._is_empty.set()

    async def drained(self) -> None:
        """Returns once all of it has been sink."""
        await self._is_empty.wait()

    def last_lines(self) -> tuple[str, ...]:
        """Those that are not empty, as text."""
        return _as_text(self._last)


def _as_text(lines: Sequence[bytes] | deque[bytes]) -> tuple[str, ...]:
    texts = (line.decode(errors="replace").rstrip() for line in lines)
    return tuple(text[:_LAST_LINE_CHARACTERS] for text in texts if text)
