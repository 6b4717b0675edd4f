"""What is measured: every figure with its unit and, where there is one, its bar; and measurements of
them as values that can be written as JSON.
"""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that is measured.

    Attributes:
        bar: What the median has to reach; None: it is only told.
        more_is_better: Whether reaching means at least, or at most.
        about: What exactly is counted and timed, in a sentence.
    """

    name: str
    unit: str
    about: str
    bar: float | None = None
    more_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Measured:
    """What one figure came to.

    Attributes:
        runs: One number per run, in the order of the runs.
        count: What all runs together counted and checked (placements, tasks, turns): never 0.
    """

    name: str
    runs: tuple[float, ...]
    count: int

    @property
    def median(self) -> float:
        """Of the runs."""
        return statistics.median(self.runs)

    def meets(self, figure: Figure) -> bool | None:
        """Whether the median reaches the bar; None without one."""
        if figure.bar is None:
            return None
        if figure.more_is_better:
            return self.median >= figure.bar
        return self.median <= figure.bar


_MAIN_FLOW = "10 users in 3 bands, each with 5 of 20 request shapes"
_TURN = "10,000 workers, 60,000 running and 40,000 pending tasks"

FIGURES: Sequence[Figure] = (
    Figure(
        "placements_1000",
        "placements/s",
        f"1,000 workers, 80 % busy, 2,000 placements a pass, {_MAIN_FLOW}",
        50_000,
    ),
    Figure(
        "placements_10000",
        "placements/s",
        f"10,000 workers, 80 % busy, 4,000 placements a pass, {_MAIN_FLOW}",
        20_000,
    ),
    Figure(
        "placements_1000_behind",
        "placements/s",
        "as placements_1000, with 100,000 tasks of 20 classes waiting in vain",
    ),
    Figure(
        "placements_10000_behind",
        "placements/s",
        "as placements_10000, with 100,000 tasks of 20 classes waiting in vain",
    ),
    Figure(
        "placements_1000_passes_of_100",
        "placements/s",
        "as placements_1000, 100 placements a pass",
    ),
    Figure(
        "placements_10000_passes_of_100",
        "placements/s",
        "as placements_10000, 100 placements a pass",
    ),
    Figure(
        "placements_1000_one_shape",
        "placements/s",
        "1,000 workers, 80 % busy, 2,000 placements a pass, one user, all tasks alike",
    ),
    Figure(
        "placements_1000_own_shapes",
        "placements/s",
        "1,000 workers, 80 % busy, 2,000 placements a pass, one task a job, each of its own shape",
    ),
    Figure(
        "placements_1000_full",
        "placements/s",
        "1,000 workers, full, with 100,000 BATCH tasks waiting that would fit; "
        "2,000 ends, and arrivals in all bands, a pass; includes choosing what is preempted",
    ),
    Figure(
        "gangs_1000",
        "gangs of 4/s",
        "1,000 workers in groups of 4, a gang takes a group; 125 of 250 groups are placed a pass",
        2_000,
    ),
    Figure(
        "gangs_1000_behind",
        "gangs of 4/s",
        "as gangs_1000, with 500 more gangs waiting and room kept for 64 of them",
    ),
    Figure(
        "turn_nothing_to_do",
        "ms",
        f"{_TURN}: Brain.apply of an attempt that began to run, and Brain.finish",
        1.0,
        more_is_better=False,
    ),
    Figure("turn_empty", "ms", f"{_TURN}: Brain.finish alone", more_is_better=False),
    Figure(
        "turn_nothing_placed",
        "ms",
        f"{_TURN}: another job like one that waits in vain; the scheduler looks",
        more_is_better=False,
    ),
    Figure(
        "turn_one_worker_changed",
        "ms",
        f"{_TURN}: an attempt ends; the scheduler looks, and places nothing or what fits there",
        more_is_better=False,
    ),
    Figure(
        "lifecycle_tasks",
        "tasks/s",
        "1,000 workers: submitted, placed, running, succeeded; Brain alone, 4 tasks a job",
    ),
    Figure(
        "lifecycle_events",
        "events/s",
        "the same run: state machine events applied, a placement counted as one",
    ),
    Figure(
        "lifecycle_stored",
        "tasks/s",
        "the same run with every turn committed, durably",
    ),
    Figure("store_rows", "rows/s", "the commits of that run alone: events and records written"),
    Figure(
        "queue_1000x1000",
        "s",
        "1,000,000 tasks in 1,000 jobs accepted, queued and committed durably, 10 jobs a turn",
        30,
        more_is_better=False,
    ),
    Figure(
        "queue_1000x1000_memory",
        "MiB",
        "the most that process held in memory (VmHWM)",
        1536,
        more_is_better=False,
    ),
    Figure(
        "queue_1000x1000_ratio",
        "times",
        "time per task at 1,000,000 tasks over that at 10,000, jobs of 1,000 tasks",
        1.0,
        more_is_better=False,
    ),
    Figure("queue_1000x1000_recovery", "s", "that file opened, loaded and restored", None, False),
    Figure("queue_1000x1000_bytes", "bytes/task", "that file and its WAL", None, False),
    Figure("queue_10x100000", "s", "the same in 10 jobs of 100,000 tasks, one a turn", None, False),
    Figure("queue_10x100000_memory", "MiB", "of that process", None, False),
    Figure(
        "queue_1000000x1", "s", "the same in 1,000,000 jobs of one task, 100 a turn", None, False
    ),
    Figure("queue_1000000x1_memory", "MiB", "of that process", None, False),
    Figure(
        "queue_1000000x1_ratio",
        "times",
        "time per task at 1,000,000 tasks over that at 10,000, jobs of one task",
        None,
        False,
    ),
    Figure("queue_1000000x1_recovery", "s", "that file opened, loaded and restored", None, False),
    Figure("queue_1000000x1_bytes", "bytes/task", "that file and its WAL", None, False),
)


def document(
    figures: Sequence[Figure], measured: Sequence[Measured], *, quick: bool, **about: Any
) -> dict[str, Any]:
    """All of it, for JSON, with what else is to be said `about` it. What was measured in a `quick` run
    meets no bar and misses none.
    """
    by_name = {figure.name: figure for figure in figures}
    return {
        "machine": machine(),
        "quick": quick,
        **about,
        "figures": [_entry(by_name[one.name], one, quick=quick) for one in measured],
    }


def _entry(figure: Figure, one: Measured, *, quick: bool) -> dict[str, Any]:
    return {
        "name": figure.name,
        "unit": figure.unit,
        "about": figure.about,
        "bar": figure.bar,
        "more_is_better": figure.more_is_better,
        "median": one.median,
        "min": min(one.runs),
        "max": max(one.runs),
        "runs": list(one.runs),
        "count": one.count,
        "met": None if quick else one.meets(figure),
    }


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "garbage_collector": "on, with the thresholds that the controller has",
        "load_before": os.getloadavg()[0],
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            found = (line.partition(":")[2].strip() for line in lines if "model name" in line)
            return next(found, platform.machine())
    except OSError:
        return platform.machine()
