"""What the kernel says a process uses. Each answer is 0 for one that is gone."""

import os

from iris.worker.runtime.process_tree import read_file

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_ticks(pid: int) -> tuple[int, int]:
    """Its own, and that of the children it has waited for."""
    fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if len(fields) < 15:
        return 0, 0
    user, system, children_user, children_system = map(int, fields[11:15])
    return user + system, children_user + children_system


def childrens_cpu_ticks() -> int:
    """That of the children that this process has waited for, as `cpu_ticks` tells it of others."""
    used = os.times()
    return round((used.children_user + used.children_system) * TICKS_PER_SECOND)


def threads(pid: int) -> int:
    """How many it has; the kernel's limits count them all."""
    fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[17]) if len(fields) > 17 else 0


def resident_bytes(pid: int) -> int:
    """What it has in memory, shared or not. Cheap."""
    fields = read_file(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE_BYTES if fields else 0


def proportional_bytes(pid: int) -> int:
    """What it has in memory, what is shared divided by those who share it. Takes time in proportion
    to its size.
    """
    for line in read_file(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return resident_bytes(pid)
