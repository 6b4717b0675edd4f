"""What a log line is, and how a stream of bytes becomes lines."""

from dataclasses import dataclass
from enum import Enum

# A longer line becomes several. Long enough for what people write, short enough to be sent and
# shown.
MAX_LINE_BYTES = 32 << 10


class LogStream(Enum):
    """Where a line comes from. Names are those on the wire."""

    STDOUT = "stdout"
    STDERR = "stderr"
    BUILD = "build"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line as it was written, without its newline; any bytes.

    Attributes:
        time_ns: Unix time at which it was read.
    """

    time_ns: int
    stream: LogStream
    text: bytes


class LineSplitter:
    """Cuts one stream at its newlines. Holds at most one unfinished line."""

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, and pieces of the one it makes too long."""
        data = self._rest + data
        *lines, self._rest = data.split(b"\n")
        if len(data) <= self._max:
            return lines
        if len(self._rest) > self._max:
            *pieces, self._rest = self._cut(self._rest)
            lines += pieces
        if max(map(len, lines), default=0) > self._max:
            return [piece for line in lines for piece in self._cut(line)]
        return lines

    def end(self) -> list[bytes]:
        """The last line, if the stream did not end with a newline."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

    def _cut(self, line: bytes) -> list[bytes]:
        return [line[at : at + self._max] for at in range(0, len(line), self._max)] or [b""]
