"""What bounds one process tree, as supervisors know it, and the words for having gone beyond it."""

import os
from typing import NamedTuple

MEMORY = "memory"
CPU = "cpu"
PROCESSES = "processes"
DISK = "disk"
WALL = "wall"

_CPUS = os.cpu_count() or 1


class TreeLimits(NamedTuple):
    """See iris.worker.protocols.Limits; 0 is no limit.

    `grace_ms` is what a tree whose time is up has between SIGTERM and SIGKILL.
    """

    memory_bytes: int = 0
    cpu_millis: int = 0
    processes: int = 0
    open_files: int = 0
    disk_bytes: int = 0
    wall_ms: int = 0
    grace_ms: int = 0
    disk_path: bytes = b""

    @property
    def cpu_share_millis(self) -> int:
        """`cpu_millis`; 0 where the machine has no more anyway."""
        return self.cpu_millis if self.cpu_millis < _CPUS * 1000 else 0

    def encode(self) -> bytes:
        """As it travels; without a NUL byte if the path has none."""
        numbers = (
            self.memory_bytes,
            self.cpu_millis,
            self.processes,
            self.open_files,
            self.disk_bytes,
            self.wall_ms,
            self.grace_ms,
        )
        return b" ".join([*(b"%d" % number for number in numbers), self.disk_path])


def decode_limits(data: bytes) -> TreeLimits:
    """From `encode`."""
    *numbers, path = data.split(b" ", 7)
    memory, cpu, processes, files, disk, wall, grace = map(int, numbers)
    return TreeLimits(memory, cpu, processes, files, disk, wall, grace, path)


class Excess(NamedTuple):
    """A limit that a tree went beyond, and how far: bytes, milliseconds or processes."""

    what: str
    amount: int
