"""How much disk a folder takes, measured in small steps."""

import os
import stat
from collections.abc import Iterator
from itertools import islice

# Beyond so many entries, or so many folders still to be entered, the rest is not looked at: what was
# found until then is the answer.
_MAX_ENTRIES = 500_000
_MAX_WAITING = 10_000
_BLOCK_BYTES = 512  # of st_blocks, whatever the file system's are


class FolderMeter:
    """Passes over a folder, again and again.

    Follows no link, and counts a file with several names once. Files that are deleted but still
    open are not seen.

    Attributes:
        total_bytes: By the last complete pass.
        largest_file_bytes: Likewise; by length, holes included.
    """

    def __init__(self, path: bytes) -> None:
        self._path = path
        self.total_bytes = 0
        self.largest_file_bytes = 0
        self._total = 0
        self._largest = 0
        self._linked: set[tuple[int, int]] = set()
        self._under_way = self._walk()

    def step(self, entries: int) -> bool:
        """Looks at so many more. True when that completed a pass."""
        if sum(1 for _ in islice(self._under_way, entries)) == entries:
            return False
        self.total_bytes, self.largest_file_bytes = self._total, self._largest
        self._total = self._largest = 0
        self._linked.clear()
        self._under_way = self._walk()
        return True

    def _walk(self) -> Iterator[None]:
        waiting = [self._path]
        seen = 0
        while waiting:
            try:
                listing = os.scandir(waiting.pop())
            except OSError:
                continue  # gone meanwhile, or not ours to enter
            with listing:
                for entry in listing:
                    seen += 1
                    if seen > _MAX_ENTRIES:
                        return
                    if self._count(entry) and len(waiting) < _MAX_WAITING:
                        waiting.append(entry.path)
                    yield

    def _count(self, entry: os.DirEntry[bytes]) -> bool:
        """Whether it is a folder."""
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            return False  # gone meanwhile
        is_folder = stat.S_ISDIR(found.st_mode)
        if found.st_nlink > 1 and not is_folder:
            identity = (found.st_dev, found.st_ino)
            if identity in self._linked:
                return False
            self._linked.add(identity)
        self._total += found.st_blocks * _BLOCK_BYTES
        if stat.S_ISREG(found.st_mode):
            self._largest = max(self._largest, found.st_size)
        return is_folder
