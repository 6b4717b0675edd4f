"""The bounds that the launcher of a hermetic run puts on itself and everything it starts, enforced and measured.

CPU: the tree may run on so many processors only (`sched_setaffinity`, which children inherit and
the watcher checks). Memory: a
watcher thread adds up the tree's proportional set size and kills every child when it exceeds the limit. Neither
needs privileges or cgroups, so both hold inside a sandbox. Rlimits would not do: they count per
process and address space.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import psutil

from iris.model.errors import InvalidArgument

T = TypeVar("T")

_SAMPLE_SECONDS = 0.25
# RSS counts pages that forks share many times over; PSS is exact but dear. So it is read once a second, and at once
# when RSS has grown so much that it may have come near the limit.
_PSS_EVERY = 4


@dataclass(frozen=True, slots=True)
class BoundsReport:
    """What was allowed and what was seen. Bytes; processors; `violation` is empty when both bounds held."""

    cpu_limit: int
    memory_limit: int
    peak_memory: int
    peak_processes: int
    samples: int
    violation: str


def limit_cpus(count: int) -> frozenset[int]:
    """Restricts this process and its future children to `count` of the processors it may use now.

    With fewer to choose from it takes those: the bound then holds all the more. Raises
    InvalidArgument for less than one.
    """
    if count < 1:
        raise InvalidArgument(f"cpu_limit is {count}.", hint="At least 1 processor is needed.")
    allowed = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, allowed)
    return frozenset(allowed)


class TreeBounds:
    """Watches this process and its descendants from a thread of its own, between `start` and `stop`."""

    def __init__(
        self, *, cpus: frozenset[int], memory_limit: int, on_violation: Callable[[str], None]
    ) -> None:
        self._cpus = cpus
        self._memory_limit = memory_limit
        self._on_violation = on_violation
        self._root = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tree-bounds", daemon=True)
        self._peak_memory = 0
        # As long as the sum of RSS is less, the sum of PSS is taken to be within the limit.
        self._enough_rss = 0
        self._peak_processes = 0
        self._samples = 0
        self._violation = ""

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self) -> BoundsReport:
        """Takes a last look, ends the thread and says what was seen."""
        self._stop.set()
        self._thread.join()
        return BoundsReport(
            len(self._cpus),
            self._memory_limit,
            self._peak_memory,
            self._peak_processes,
            self._samples,
            self._violation,
        )

    def _watch(self) -> None:
        while not self._violation:
            last = self._stop.wait(_SAMPLE_SECONDS)
            self._sample()
            if last:
                return

    def _sample(self) -> None:
        tree = [self._root, *self._root.children(recursive=True)]
        self._samples += 1
        self._peak_processes = max(self._peak_processes, len(tree))
        rss = sum(_read(partial(_rss, process)) or 0 for process in tree)
        if rss >= self._enough_rss or self._samples % _PSS_EVERY == 1:
            pss = sum(_read(partial(_pss, process)) or 0 for process in tree)
            self._peak_memory = max(self._peak_memory, pss)
            self._enough_rss = rss + (self._memory_limit - pss) // 2
            if pss > self._memory_limit:
                limit = f"the limit is {self._memory_limit}"
                self._violate(tree, f"the tree used {pss} bytes of memory, {limit}")
        for process in tree:
            cpus = _read(process.cpu_affinity)
            if cpus is not None and not self._cpus.issuperset(cpus):
                self._violate(
                    tree,
                    f"{process} may run on processors {cpus}, allowed are {sorted(self._cpus)}",
                )

    def _violate(self, tree: list[psutil.Process], problem: str) -> None:
        if self._violation:
            return
        self._violation = problem
        for process in tree[1:]:
            _read(process.kill)
        self._on_violation(problem)


def _rss(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)


def _read(get: Callable[[], T]) -> T | None:
    """None for a process that has ended meanwhile."""
    try:
        return get()
    except psutil.NoSuchProcess:
        return None
