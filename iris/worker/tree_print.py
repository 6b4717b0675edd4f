"""What tells, without reading any file, whether a folder tree is still as it was made."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def print_of(root: Path) -> str:
    """Over path, kind, permissions, size and times of every file and link below the folder; hex.

    A write changes a file's times, which only who sets the machine's clock can prevent; what a
    failing disk does to bytes is not seen. Looks at every entry once, about 5 µs each. Blocks.
    Raises OSError if something cannot be looked at.
    """
    digest = hashlib.sha256()
    for path, about in _entries(root):
        facts = (about.st_mode, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        digest.update(os.fsencode(path) + b"\0" + repr(facts).encode() + b"\0")
    return digest.hexdigest()


def size_of(root: Path) -> int:
    """Bytes of all files below the folder; one that has several names counts once. Blocks."""
    files = {
        (about.st_dev, about.st_ino): about.st_size
        for _, about in _entries(root)
        if stat.S_ISREG(about.st_mode)
    }
    return sum(files.values())


def _entries(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All that is no folder, always in the same order."""
    folders = [(str(root), "")]
    while folders:
        folder, prefix = folders.pop()
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                folders.append((entry.path, f"{path}/"))
            else:
                yield path, entry.stat(follow_symlinks=False)
