"""One attempt's log file. Blocks on files; the store calls it from its thread."""

import os
from collections.abc import Sequence
from pathlib import Path

from iris.controller.log_store.line import StoredLine, decode, encode

# Every so many lines the file offset is remembered, so that a reader need not begin at the start.
_MARK_EVERY = 1024


class AttemptLog:
    """Appends and reads.

    What a killed process wrote of a last line only in part is cut off when the file is opened.

    Not thread-safe: one caller at a time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.next_index = 0
        self._size = 0
        self._marks: list[int] = [0]  # the offset of line number i * _MARK_EVERY
        if path.exists():
            self._recover()

    def append(self, lines: Sequence[StoredLine]) -> None:
        """Adds the lines at `next_index`. They survive the end of this process once it returns."""
        data = bytearray()
        for line in lines:
            data += encode(line)
            self._count(self._size + len(data))
        with self._path.open("ab") as file:
            file.write(data)
        self._size += len(data)

    def read(self, first: int, limit: int) -> list[StoredLine]:
        """At most `limit` lines from number `first` on; none where there are none yet."""
        if first >= self.next_index or limit <= 0:
            return []
        last = min(self.next_index, first + limit)
        mark = first // _MARK_EVERY
        with self._path.open("rb") as file:
            file.seek(self._marks[mark])
            for _ in range(first - mark * _MARK_EVERY):
                file.readline()
            return [decode(file.readline()) for _ in range(first, last)]

    def _count(self, end: int) -> None:
        self.next_index += 1
        if self.next_index % _MARK_EVERY == 0:
            self._marks.append(end)

    def _recover(self) -> None:
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._size += len(line)
                self._count(self._size)
        if self._size < self._path.stat().st_size:
            os.truncate(self._path, self._size)
