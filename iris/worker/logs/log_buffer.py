"""An attempt's lines that the controller does not have for certain, in order and bounded."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from iris.worker.logs.lines import LogLine, LogStream

DEFAULT_CAPACITY_BYTES = 4 << 20
# What a line costs beside its text, so that a flood of empty ones is bounded too.
_LINE_OVERHEAD_BYTES = 128


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Consecutive lines; `first_index` is that of the first within the attempt, counted from 0."""

    first_index: int
    lines: tuple[LogLine, ...]


class LogBuffer:
    """Lines wait here to be sent, and then until they are acknowledged: after a reconnect those
    that were not are sent again.

    It takes every line it is given and never drops one. Who reads the task's output asks `has_room`
    first and, when there is none, waits for `on_room`; other lines are few. One event loop.

    Args:
        on_lines: Called after lines were added.
    """

    def __init__(
        self,
        *,
        capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
        on_lines: Callable[[], None] = lambda: None,
    ) -> None:
        self._capacity = capacity_bytes
        self._on_lines = on_lines
        self._sent: deque[LogLine] = deque()
        self._unsent: deque[LogLine] = deque()
        self._bytes = 0
        self._full = False
        self._acknowledged = 0
        # How many were sent at all, on whatever connection: so many the controller may have.
        self._ever_sent = 0
        self.on_room: Callable[[], None] = lambda: None

    @property
    def next_index(self) -> int:
        """How many lines there were in all."""
        return self._acknowledged + len(self._sent) + len(self._unsent)

    @property
    def has_unsent(self) -> bool:
        """Whether `take` has something to give."""
        return bool(self._unsent)

    @property
    def is_acknowledged(self) -> bool:
        """Whether the controller has every line so far."""
        return not self._sent and not self._unsent

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
        """Adds lines at the end."""
        if not texts:
            return
        for text in texts:
            self._unsent.append(LogLine(time_ns, stream, text))
            self._bytes += len(text) + _LINE_OVERHEAD_BYTES
        self._full = self._full or self._bytes >= self._capacity
        self._on_lines()

    def take(self, max_lines: int, max_bytes: int) -> LogBatch:
        """The next lines that were not sent, at least one and within both bounds otherwise."""
        first = self._acknowledged + len(self._sent)
        lines: list[LogLine] = []
        while self._unsent and len(lines) < max_lines:
            max_bytes -= len(self._unsent[0].text) + _LINE_OVERHEAD_BYTES
            if lines and max_bytes < 0:
                break
            lines.append(self._unsent.popleft())
        self._sent.extend(lines)
        self._ever_sent = max(self._ever_sent, first + len(lines))
        return LogBatch(first, tuple(lines))

    def rewind(self) -> None:
        """What was sent and not acknowledged is to be sent again: the connection is a new one."""
        self._unsent.extendleft(reversed(self._sent))
        self._sent.clear()

    def acknowledge(self, next_index: int) -> None:
        """The controller has all lines below `next_index`, perhaps from an earlier connection.

        What it says about lines that were never sent, or acknowledged before, changes nothing.
        """
        while self._acknowledged < min(next_index, self._ever_sent):
            line = (self._sent or self._unsent).popleft()
            self._bytes -= len(line.text) + _LINE_OVERHEAD_BYTES
            self._acknowledged += 1
        if self._full and self._bytes <= self._capacity // 2:
            self._full = False
            self.on_room()
