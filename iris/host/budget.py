"""How much of this machine this process may really use: processors, memory and disk, within
affinity and control groups.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from iris.model.resources import Resources

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
# Version 1 says "no limit" with a number near 2**63.
_UNLIMITED = 1 << 60


def this_machine(disk_at: Path | None = None) -> Resources:
    """What this process may use. Disk is what is free below `disk_at` (default: the root), which
    need not exist yet.
    """
    return Resources(
        cpu_millis=usable_cpu_millis(),
        memory_bytes=usable_memory(),
        disk_bytes=free_disk(disk_at or Path("/")),
    )


def usable_cpu_millis(*, proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Thousandths of a core: the processors we may run on, or the quota of our control groups if
    that is less.
    """
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:
        processors = os.cpu_count() or 1
    limits = [processors * 1000]
    for folder in _control_groups("cpu", proc, cgroups):
        quota, period = _cpu_quota(folder)
        if quota > 0 and period > 0:
            limits.append(max(1, quota * 1000 // period))
    return min(limits)


def usable_memory(*, proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Bytes: the machine's memory, or the limit of our control groups if that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for folder in _control_groups("memory", proc, cgroups):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _numbers(folder / name)
            if limit and 0 < limit[0] < _UNLIMITED:
                limits.append(limit[0])
    return min(limits)


def available_memory(*, proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Bytes that programs could still have now: of the machine, or below the limit of our control
    groups if that is less. What only keeps copies of files counts as available.
    """
    left = [usable_memory(proc=proc, cgroups=cgroups)]
    left += [kib * 1024 for kib in _fields(proc / "meminfo", "MemAvailable:")]
    for folder in _control_groups("memory", proc, cgroups):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = _numbers(folder / limit_name), _numbers(folder / used_name)
            if limit and used and 0 < limit[0] < _UNLIMITED:
                files = sum(_fields(folder / "memory.stat", "inactive_file", "active_file"))
                left.append(max(0, limit[0] - max(0, used[0] - files)))
    return min(left)


def free_disk(folder: Path) -> int:
    """Bytes that are free where `folder` is, or would be."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _control_groups(controller: str, proc: Path, cgroups: Path) -> Iterator[Path]:
    """Our control groups that may bound `controller`, in both versions, from our own up to the
    root: each one's limit holds.

    Inside a container the path may be one that only the host can see; then what can be seen is the
    root.
    """
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        roots = [cgroups / controller] if controller in names.split(",") else []
        if not names:
            roots = [cgroups, cgroups / "unified"]
        for root in roots:
            folder = root / path.lstrip("/")
            while True:
                if folder.is_dir():
                    yield folder
                if folder == root:
                    break
                folder = folder.parent


def _cpu_quota(folder: Path) -> tuple[int, int]:
    """Microseconds of processor time in each period of so many; (0, 0) for no limit."""
    quota = _numbers(folder / "cpu.max") or (
        *_numbers(folder / "cpu.cfs_quota_us"),
        *_numbers(folder / "cpu.cfs_period_us"),
    )
    return (quota[0], quota[1]) if len(quota) == 2 else (0, 0)


def _fields(file: Path, *names: str) -> Iterator[int]:
    """The numbers behind these words, each on a line of its own; none if there is no such file."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return
    for words in map(str.split, lines):
        if len(words) > 1 and words[0] in names and words[1].isdigit():
            yield int(words[1])


def _numbers(file: Path) -> tuple[int, ...]:
    """The numbers in a control file; none if there is no such file or it says "max"."""
    try:
        return tuple(int(word) for word in file.read_text().split() if word.lstrip("-").isdigit())
    except OSError:
        return ()
