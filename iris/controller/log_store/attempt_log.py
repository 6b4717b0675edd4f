"""One attempt's log: segments, of which the oldest go when there is too much. Blocks on files; the
store calls it from its thread.
"""

import contextlib
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from iris.controller.log_store.run import LogPart, LogRun
from iris.controller.log_store.segment import LineSegment, RunSegment, Segment

_SUFFIX = ".log"
# The name of a segment is its first line's index with so many digits: they sort as they follow.
_DIGITS = 15


class AttemptLog:
    """Appends and reads. What a killed process wrote only in part is cut off when it is opened.

    Not thread-safe: one caller at a time.

    Args:
        folder: Of its segments; made by the first line.
        old: Where an earlier Iris kept the whole log, in one file.
        segment_bytes: From this size on a segment is followed by another.
        max_bytes: Beyond it the oldest segments are removed; the last one never.

    Attributes:
        next_index: How many lines were ever written.
        size: Of all its files, in bytes.
    """

    def __init__(self, folder: Path, old: Path, *, segment_bytes: int, max_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._max_bytes = max_bytes
        self._segments = _segments_in(folder, old)
        self.next_index = 0
        if self._segments:
            last = self._segments[-1]
            self.next_index = last.first + last.recover()
        self.size = sum(segment.size for segment in self._segments)

    @property
    def first_index(self) -> int:
        """The index of the first line that is still there."""
        return self._segments[0].first if self._segments else 0

    def append(self, runs: Sequence[LogRun]) -> None:
        """Adds the lines at `next_index`. They survive the end of this process once it returns."""
        last = self._segments[-1] if self._segments else None
        if not isinstance(last, RunSegment) or last.size >= self._segment_bytes:
            last = self._add_segment()
        before = last.size
        self.next_index = last.append(self.next_index, runs)
        self.size += last.size - before
        while self.size > self._max_bytes and len(self._segments) > 1:
            self._drop_oldest()

    def read(self, first: int, max_lines: int, max_bytes: int) -> LogPart:
        """Lines from index `first` on, or from the first that is still there; none where there are
        none yet. Not many more than `max_bytes`.
        """
        first = max(first, self.first_index)
        while first < self.next_index and max_lines > 0:
            position = bisect_right(self._segments, first, key=lambda segment: segment.first)
            runs = self._segments[position - 1].read(first, max_lines, max_bytes)
            if runs:
                return LogPart(first, runs)
            if position == len(self._segments):
                break
            first = self._segments[position].first  # the rest of that file is damaged
        return LogPart(first, [])

    def cut(self) -> None:
        """Removes all lines, but not how many there were."""
        if self.size == 0:
            return
        if self._segments[-1].size:
            # An empty file says it; made before the others go.
            self._add_segment().path.touch(mode=0o600)
        while len(self._segments) > 1:
            self._drop_oldest()

    def delete(self) -> None:
        """Removes it as a whole."""
        while self._segments:
            self._drop_oldest()
        with contextlib.suppress(FileNotFoundError):
            self._folder.rmdir()
        self.next_index = 0

    def _add_segment(self) -> RunSegment:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{self.next_index:0{_DIGITS}}{_SUFFIX}"
        segment = RunSegment(path, self.next_index)
        self._segments.append(segment)
        return segment

    def _drop_oldest(self) -> None:
        oldest = self._segments.pop(0)
        self.size -= oldest.size
        oldest.path.unlink(missing_ok=True)


def _segments_in(folder: Path, old: Path) -> list[Segment]:
    found: list[Segment] = []
    with contextlib.suppress(FileNotFoundError):
        found.append(LineSegment(old, old.stat().st_size))
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(folder.iterdir()):
            first = path.name.removesuffix(_SUFFIX)
            if len(first) == _DIGITS and first.isdigit():
                found.append(RunSegment(path, int(first), path.stat().st_size))
    return found
