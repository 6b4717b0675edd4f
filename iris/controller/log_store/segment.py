"""One file of an attempt's log. Blocks on files; the store calls it from its thread."""

import os
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from iris.controller.log_store.frames import (
    MAX_HEADER_BYTES,
    Header,
    decode_header,
    decode_line,
    encode,
)
from iris.controller.log_store.run import LogRun

# The place of a run is remembered every so many bytes, so that a reader need not begin at the start.
_MARK_EVERY_BYTES = 16 << 10
_MODE = 0o600


class Segment(Protocol):
    """Consecutive lines of an attempt in a file of their own. Not thread-safe.

    Attributes:
        first: The index of its first line within the attempt.
        size: Of the file, in bytes.
    """

    path: Path
    first: int
    size: int

    def recover(self) -> int:
        """Cuts off what a killed process wrote only in part; returns how many lines there are. For
        the last segment of a log, which nobody has read or written since.
        """

    def read(self, first: int, max_lines: int, max_bytes: int) -> list[LogRun]:
        """Lines from index `first` on, not many more than `max_bytes`; none if it is damaged
        there.
        """


class RunSegment:
    """A file of runs; see `frames`. What is damaged in it is as good as its end."""

    def __init__(self, path: Path, first: int, size: int = 0) -> None:
        self.path = path
        self.first = first
        self.size = size
        # Lines and offsets of runs, both ascending; empty: not looked at yet.
        self._lines = array("q", [] if size else [first])
        self._offsets = array("q", [] if size else [0])

    def append(self, next_index: int, runs: Sequence[LogRun]) -> int:
        """Adds runs as the lines from `next_index` on; returns the index after the last. They
        survive the end of this process once it returns.

        Raises OSError; the file may then have some of them.
        """
        parts: list[bytes] = []
        end = self.size
        for run in runs:
            self._mark(next_index, end)
            lines = run.lines
            parts.append(encode(run, lines))
            end += len(parts[-1])
            next_index += lines
        _append(self.path, b"".join(parts))
        self.size = end
        return next_index

    def recover(self) -> int:
        """See Segment."""
        data = self.path.read_bytes()
        end, lines = self._walk(data, verify=True)
        if end < len(data):
            os.truncate(self.path, end)
        self.size = end
        return lines

    def read(self, first: int, max_lines: int, max_bytes: int) -> list[LogRun]:
        """See Segment."""
        if not self._offsets:
            self._walk(self.path.read_bytes(), verify=False)
        mark = bisect_right(self._lines, first) - 1
        index = self._lines[mark]
        found: list[LogRun] = []
        with self.path.open("rb") as file:
            file.seek(self._offsets[mark])
            while max_lines > 0 and max_bytes > 0:
                header = _header(file.readline(MAX_HEADER_BYTES))
                if header is None:
                    break
                if index + header.lines <= first:
                    file.seek(header.size + 1, os.SEEK_CUR)
                else:
                    text = file.read(header.size + 1)[:-1]
                    if zlib.crc32(text) != header.crc:
                        break
                    run = LogRun(header.time_ns, header.stream, text)
                    begin = max(0, first - index)
                    take = min(header.lines - begin, max_lines)
                    if take < header.lines:
                        run = run.part(begin, begin + take)
                    found.append(run)
                    max_lines -= take
                    max_bytes -= len(run.text)
                index += header.lines
        return found

    def _walk(self, data: bytes, *, verify: bool) -> tuple[int, int]:
        """Finds the runs; returns where the last whole one ends, and how many lines there are."""
        offset, index = 0, self.first
        del self._lines[:], self._offsets[:]
        while True:
            self._mark(index, offset)
            begin = data.find(b"\n", offset, offset + MAX_HEADER_BYTES) + 1
            header = _header(data[offset:begin])
            if header is None:
                break
            end = begin + header.size
            if data[end : end + 1] != b"\n" or (
                verify and zlib.crc32(memoryview(data)[begin:end]) != header.crc
            ):
                break
            offset, index = end + 1, index + header.lines
        return offset, index - self.first

    def _mark(self, index: int, offset: int) -> None:
        if not self._offsets or offset - self._offsets[-1] >= _MARK_EVERY_BYTES:
            self._lines.append(index)
            self._offsets.append(offset)


class LineSegment:
    """The log of an attempt that began under an earlier Iris: one file, a line each."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.first = 0
        self.size = size

    def recover(self) -> int:
        """See Segment."""
        end = lines = 0
        with self.path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    end, lines = end + len(line), lines + 1
        if end < self.size:
            os.truncate(self.path, end)
            self.size = end
        return lines

    def read(self, first: int, max_lines: int, max_bytes: int) -> list[LogRun]:
        """See Segment."""
        found: list[LogRun] = []
        with self.path.open("rb") as file:
            for index, line in enumerate(file):
                if index < first:
                    continue
                if max_lines <= 0 or max_bytes <= 0:
                    break
                found.append(decode_line(line))
                max_lines -= 1
                max_bytes -= len(line)
        return found


def _header(data: bytes) -> Header | None:
    """A whole header; None for anything else."""
    if not data.endswith(b"\n"):
        return None
    try:
        return decode_header(data)
    except ValueError:
        return None


def _append(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)
