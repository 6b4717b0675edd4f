"""Holds a tree to its limits where the kernel does not, by looking at it again and again.

How often depends on how far it is from a limit. Between two looks it can get beyond: by some 40 MiB
of memory at most times, as it is looked at every 10 ms near its limit. Memory that no process maps
(files in /dev/shm) is not seen. CPU is held by stopping and continuing the whole tree, which its
processes can notice: shells may report a stopped job.
"""

import os
import signal
import sys
import time
from typing import NamedTuple

from iris.worker.runtime import process_tree, readings
from iris.worker.runtime.folder_meter import FolderMeter
from iris.worker.runtime.limits import CPU, DISK, MEMORY, PROCESSES, WALL, Excess, TreeLimits

_LEAST_SECONDS = 0.01
_MOST_SECONDS = 0.25
# The fastest that a tree is taken to grow.
_BYTES_PER_SECOND = 4 << 30
_PROCESSES_PER_SECOND = 20_000
# A look at memory or processes may take at most one part in so many of the supervisor's time.
_COST_SHARE = 4

# Processes whose share of memory is read before the number of them is looked at again.
_PROPORTIONAL_STEP = 10

_DISK_LEAST_SECONDS = 0.25
_DISK_MOST_SECONDS = 5.0
_DISK_BYTES_PER_SECOND = 1 << 30
_DISK_COST_SHARE = 20
_DISK_STEP_ENTRIES = 1000
_DISK_STEP_SECONDS = 0.005

# What a tree may use in one go after it was idle, and the longest that it is stopped in one go, in
# seconds at its rate.
_CPU_BURST_SECONDS = 0.1
_CPU_LEAST_SECONDS = 0.02
_CPUS = os.cpu_count() or 1


class _Sample(NamedTuple):
    pids: frozenset[int]
    threads: int
    resident_bytes: int


class Watchdog:
    """Over one tree. `begin` once its program runs; then `look` whenever `due` has come.

    Times are of `time.monotonic`.

    Attributes:
        peak_memory_bytes: The most that was seen.
        disk_bytes: By the last complete measurement; 0 before.
    """

    def __init__(self, limits: TreeLimits, enforced: frozenset[str]) -> None:
        """`enforced` are the limits that the kernel holds."""
        self._limits = limits
        self._top = 0
        self._memory_limit = 0 if MEMORY in enforced else limits.memory_bytes
        self._process_limit = 0 if PROCESSES in enforced else limits.processes
        self._cpu = _CpuBucket(0 if CPU in enforced else limits.cpu_share_millis)
        self._meter = FolderMeter(limits.disk_path) if limits.disk_path else None
        self._meter_seconds = 0.0
        self._tree_due: float | None = None
        self._disk_due: float | None = None
        self._cpu_due: float | None = None
        self._wall_due: float | None = None
        self.peak_memory_bytes = 0
        self.disk_bytes = 0

    def begin(self, top: int, now: float) -> None:
        """`top` is the process below which the tree is."""
        self._top = top
        if self._memory_limit or self._process_limit:
            self._tree_due = now + _LEAST_SECONDS
        if self._meter is not None:
            self._disk_due = now + _DISK_LEAST_SECONDS
        if self._cpu.millis:
            self._cpu.begin(tree_cpu_seconds(top, self._process_limit or sys.maxsize), now)
            self._cpu_due = now + _CPU_LEAST_SECONDS
        if self._limits.wall_ms:
            self._wall_due = now + self._limits.wall_ms / 1000

    def due(self) -> float | None:
        """When to look again; None: never."""
        return min(
            (
                due
                for due in (self._tree_due, self._disk_due, self._cpu_due, self._wall_due)
                if due is not None
            ),
            default=None,
        )

    def release(self) -> None:
        """The tree is to end: it may use what it needs for that."""
        self._cpu_due = self._wall_due = None
        if self._cpu.stopped:
            self._cpu.stopped = False
            process_tree.signal_all((signal.SIGCONT,))

    def look(self, now: float) -> Excess | None:
        """Looks at what is due. The first limit that was gone beyond, if any."""
        if self._wall_due is not None and now >= self._wall_due:
            self._wall_due = None
            return Excess(WALL, self._limits.wall_ms)
        excess: Excess | None = None
        if self._tree_due is not None and now >= self._tree_due:
            excess = self._look_at_tree(now)
        # Only then, as this takes long for many processes: a fork bomb would be ahead of it.
        if excess is None and self._cpu_due is not None and now >= self._cpu_due:
            most = self._process_limit or sys.maxsize
            self._cpu_due = now + self._cpu.account(self._top, most, now)
        if excess is None and self._disk_due is not None and now >= self._disk_due:
            excess = self._look_at_disk(now)
        return excess

    def final_disk_excess(self) -> Excess | None:
        """For a tree that has failed: whether that was for want of disk. Measures once more."""
        limit = self._limits.disk_bytes
        if not limit or self._meter is None:
            return None
        while not self._meter.step(_DISK_STEP_ENTRIES):
            continue
        self.disk_bytes = self._meter.total_bytes
        most = max(self._meter.total_bytes, self._meter.largest_file_bytes)
        return Excess(DISK, most) if most >= limit else None

    def too_many(self) -> Excess | None:
        """Whether there are more processes and threads than may be, at this moment."""
        limit = self._process_limit
        if not limit or not self._top:
            return None
        pids = _below(self._top, limit)
        count = len(pids) if len(pids) > limit else sum(map(readings.threads, pids))
        return Excess(PROCESSES, count) if count > limit else None

    def _look_at_tree(self, now: float) -> Excess | None:
        # Of the processor, not by the clock: on a busy machine most of that would be waiting for a
        # turn, and to wait four times as long again is what a fork bomb needs to get away.
        began = time.process_time()
        sample = _sample(self._top, self._process_limit or sys.maxsize)
        room = _MOST_SECONDS
        if limit := self._process_limit:
            if sample.threads > limit:
                return Excess(PROCESSES, sample.threads)
            room = min(room, (limit - sample.threads) / _PROCESSES_PER_SECOND)
        if limit := self._memory_limit:
            used = sample.resident_bytes
            if used > limit:  # what processes share is in there many times
                used = 0
                for number, pid in enumerate(sample.pids, start=1):
                    used += readings.proportional_bytes(pid)
                    # Each takes about a millisecond, and a fork bomb does not wait.
                    if number % _PROPORTIONAL_STEP == 0 and (excess := self.too_many()):
                        return excess
            self.peak_memory_bytes = max(self.peak_memory_bytes, used)
            if used > limit:
                return Excess(MEMORY, used)
            room = min(room, (limit - used) / _BYTES_PER_SECOND)
        cost = time.process_time() - began
        self._tree_due = now + max(_LEAST_SECONDS, room, cost * _COST_SHARE)
        return None

    def _look_at_disk(self, now: float) -> Excess | None:
        assert self._meter is not None
        began = time.monotonic()
        complete = self._meter.step(_DISK_STEP_ENTRIES)
        self._meter_seconds += time.monotonic() - began
        if not complete:
            self._disk_due = now + _DISK_STEP_SECONDS
            return None
        used, limit = self._meter.total_bytes, self._limits.disk_bytes
        self.disk_bytes = used
        if limit and used > limit:
            return Excess(DISK, used)
        room = (limit - used) / _DISK_BYTES_PER_SECOND if limit else _DISK_MOST_SECONDS
        wait = max(_DISK_LEAST_SECONDS, room, self._meter_seconds * _DISK_COST_SHARE)
        self._meter_seconds = 0.0
        self._disk_due = now + min(wait, _DISK_MOST_SECONDS)
        return None


class _CpuBucket:
    """CPU time comes in at the limit's rate and goes out as it is used; in debt, the tree stands."""

    def __init__(self, millis: int) -> None:
        """0: no limit."""
        self.millis = millis
        self.stopped = False
        self._rate = self.millis / 1000
        self._tokens = self._rate * _CPU_BURST_SECONDS
        self._used = 0.0
        self._at = 0.0

    def begin(self, used: float, now: float) -> None:
        """`used` by then is not held against the tree: it may be of earlier ones."""
        self._used, self._at = used, now

    def account(self, top: int, most_processes: int, now: float) -> float:
        """Stops or continues the tree. Seconds until that has to be thought over."""
        used = tree_cpu_seconds(top, most_processes)
        self._tokens += (now - self._at) * self._rate - max(0.0, used - self._used)
        self._tokens = min(self._tokens, self._rate * _CPU_BURST_SECONDS)
        self._used, self._at = max(used, self._used), now
        if self._tokens < 0:
            # Also whoever was forked while the others were stopped.
            self.stopped = True
            process_tree.signal_all((signal.SIGSTOP,))
            return min(max(-self._tokens / self._rate, _CPU_LEAST_SECONDS), _MOST_SECONDS)
        if self.stopped:
            self.stopped = False
            process_tree.signal_all((signal.SIGCONT,))
        fastest = self._tokens / (_CPUS - self._rate)
        return min(max(fastest, _CPU_LEAST_SECONDS), _MOST_SECONDS)


def tree_cpu_seconds(top: int, at_most: int = sys.maxsize) -> float:
    """Of all processes below `top`, and those that have ended and were waited for. Of some of them
    only, once there are more than `at_most`.
    """
    ticks = sum(sum(readings.cpu_ticks(pid)) for pid in _below(top, at_most))
    return (ticks + readings.cpu_ticks(top)[1]) / readings.TICKS_PER_SECOND


def _below(top: int, at_most: int) -> set[int]:
    """A walk through a tree that explodes would not end by itself."""
    if top == 1:  # of a PID namespace, whose /proc has nobody else
        return {int(name) for name in os.listdir("/proc") if name.isdigit()} - {top}
    return process_tree.descendants(top, at_most=at_most)


def _sample(top: int, most_processes: int) -> _Sample:
    """Not all of it if it has more processes than that: while a tree explodes, every look takes
    long.
    """
    pids = _below(top, most_processes)
    if len(pids) > most_processes:
        return _Sample(frozenset(pids), len(pids), 0)
    return _Sample(
        frozenset(pids),
        sum(map(readings.threads, pids)),
        sum(map(readings.resident_bytes, pids)),
    )
