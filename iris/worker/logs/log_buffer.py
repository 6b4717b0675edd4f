"""An attempt's lines that the controller does not have for certain, in order and bounded."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from iris.worker.logs.lines import LogLine, LogStream

DEFAULT_CAPACITY_BYTES = 4 << 20
DEFAULT_BUDGET_BYTES = 32 << 20
# So much every buffer may hold, however much the others do: no task is made to wait for another's.
_SHARE_BYTES = 64 << 10
# What a line costs beside its text, so that a flood of empty ones is bounded too.
_LINE_OVERHEAD_BYTES = 48


@dataclass(frozen=True, slots=True)
class LogRun:
    """Lines of one stream that were read at the same time; at least one. Nothing is done line by
    line where it can be done for all of them.
    """

    time_ns: int
    stream: LogStream
    texts: list[bytes]

    def split(self, lines: int) -> tuple["LogRun", "LogRun"]:
        """Its first `lines` lines and the rest; both have some: on the wire, no line is an empty one."""
        assert 0 < lines < len(self.texts), f"{lines} of {len(self.texts)} lines"
        return (
            LogRun(self.time_ns, self.stream, self.texts[:lines]),
            LogRun(self.time_ns, self.stream, self.texts[lines:]),
        )

    @property
    def size_bytes(self) -> int:
        """With overhead."""
        return sum(map(len, self.texts)) + _LINE_OVERHEAD_BYTES * len(self.texts)


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Consecutive lines; `first_index` is that of the first within the attempt, counted from 0."""

    first_index: int
    runs: tuple[LogRun, ...]

    @property
    def lines(self) -> tuple[LogLine, ...]:
        """One by one."""
        return tuple(
            LogLine(run.time_ns, run.stream, text) for run in self.runs for text in run.texts
        )


class _Runs:
    """A queue of runs that can be cut anywhere."""

    def __init__(self) -> None:
        self._runs: deque[LogRun] = deque()
        self.lines = 0

    def add(self, run: LogRun) -> None:
        """At the end."""
        self._runs.append(run)
        self.lines += len(run.texts)

    def add_first(self, others: "_Runs") -> None:
        """All of the other's, in front; it has none afterwards."""
        self._runs.extendleft(reversed(others._runs))
        self.lines += others.lines
        others._runs.clear()
        others.lines = 0

    def take(self, max_lines: int, max_bytes: int | None = None) -> LogRun:
        """From the front, at least one line: a run, or so much of it as fits."""
        run = self._runs.popleft()
        fits = min(max_lines, len(run.texts))
        if max_bytes is not None and run.size_bytes > max_bytes:
            fits = min(fits, _fitting(run.texts, max_bytes))
        fits = max(1, fits)
        if fits < len(run.texts):
            run, rest = run.split(fits)
            self._runs.appendleft(rest)
        self.lines -= len(run.texts)
        return run


def _fitting(texts: list[bytes], max_bytes: int) -> int:
    """How many of the first ones take no more than that."""
    for number, text in enumerate(texts):
        max_bytes -= len(text) + _LINE_OVERHEAD_BYTES
        if max_bytes < 0:
            return number
    return len(texts)


class LogBudget:
    """What all buffers of a worker hold together, and should not exceed. One event loop."""

    def __init__(self, total_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self._total = total_bytes
        self.used_bytes = 0

    @property
    def is_spent(self) -> bool:
        """Whether buffers have to make do with little."""
        return self.used_bytes >= self._total


class LogBuffer:
    """Lines wait here to be sent, and then until they are acknowledged: after a reconnect those
    that were not are sent again.

    It takes every line it is given and never drops one. Who reads the task's output asks `has_room`
    first and, when there is none, waits for `on_room`; other lines are few. One event loop.

    Args:
        on_lines: Called after lines were added.
        budget: Shared with the worker's other buffers; `discard` gives back what is taken of it.
    """

    def __init__(
        self,
        *,
        capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
        on_lines: Callable[[], None] = lambda: None,
        budget: LogBudget | None = None,
    ) -> None:
        self._capacity = capacity_bytes
        self._budget = budget or LogBudget(capacity_bytes)
        self._on_lines = on_lines
        self._sent = _Runs()
        self._unsent = _Runs()
        self._bytes = 0
        self._full = False
        self._acknowledged = 0
        # How many were sent at all, on whatever connection: so many the controller may have.
        self._ever_sent = 0
        self.on_room: Callable[[], None] = lambda: None

    @property
    def next_index(self) -> int:
        """How many lines there were in all."""
        return self._acknowledged + self._sent.lines + self._unsent.lines

    @property
    def has_unsent(self) -> bool:
        """Whether `take` has something to give."""
        return self._unsent.lines > 0

    @property
    def is_acknowledged(self) -> bool:
        """Whether the controller has every line so far."""
        return not self._sent.lines and not self._unsent.lines

    @property
    def has_room(self) -> bool:
        """Whether more of the task's output may be read. Once full, only when half is free again:
        to resume for every line would be to wake a blocked task for each.
        """
        return not self._full

    @property
    def size_bytes(self) -> int:
        """What is held, with overhead."""
        return self._bytes

    def append(self, time_ns: int, stream: LogStream, texts: list[bytes]) -> None:
        """Adds lines at the end; the list is the buffer's from here on."""
        if not texts:
            return
        run = LogRun(time_ns, stream, texts)
        self._unsent.add(run)
        self._hold(run.size_bytes)
        self._full = self._full or self._bytes >= self._limit
        self._on_lines()

    def take(self, max_lines: int, max_bytes: int) -> LogBatch:
        """The next lines that were not sent, at least one and within both bounds otherwise."""
        first = self._acknowledged + self._sent.lines
        runs: list[LogRun] = []
        while self._unsent.lines and max_lines > 0 and (max_bytes > 0 or not runs):
            run = self._unsent.take(max_lines, max_bytes)
            max_lines -= len(run.texts)
            max_bytes -= run.size_bytes
            if runs and max_bytes < 0:  # its first line alone is too much
                rest = _Runs()
                rest.add(run)
                self._unsent.add_first(rest)
                break
            runs.append(run)
            self._sent.add(run)
        self._ever_sent = max(self._ever_sent, self._acknowledged + self._sent.lines)
        return LogBatch(first, tuple(runs))

    def rewind(self) -> None:
        """What was sent and not acknowledged is to be sent again: the connection is a new one."""
        self._unsent.add_first(self._sent)

    def acknowledge(self, next_index: int) -> None:
        """The controller has all lines below `next_index`, perhaps from an earlier connection.

        What it says about lines that were never sent, or acknowledged before, changes nothing.
        """
        next_index = min(next_index, self._ever_sent)
        while self._acknowledged < next_index:
            waiting = self._sent if self._sent.lines else self._unsent
            run = waiting.take(next_index - self._acknowledged)
            self._hold(-run.size_bytes)
            self._acknowledged += len(run.texts)
        if self._full and self._bytes <= self._limit // 2:
            self._full = False
            self.on_room()

    def discard(self) -> None:
        """Nobody will ask for these lines any more. Idempotent; the last call."""
        self._hold(-self._bytes)
        self._sent, self._unsent = _Runs(), _Runs()

    @property
    def _limit(self) -> int:
        return min(self._capacity, _SHARE_BYTES) if self._budget.is_spent else self._capacity

    def _hold(self, more_bytes: int) -> None:
        self._bytes += more_bytes
        self._budget.used_bytes += more_bytes
