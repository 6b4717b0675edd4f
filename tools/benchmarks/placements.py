"""Placements a second: a fleet at work, in which as much begins as ends."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from iris.model.priority import PriorityBand
from tools.benchmarks.cluster import Cluster, Pass, mixed_fleet
from tools.benchmarks.workload import CHIP, SHAPES, Ask, habits, jobs_of, shape_of_its_own, vain

_BUSY = 0.8
_CHIPS_BUSY = 0.6
_VAIN_TASKS = 100_000
_BACKLOG_TASKS = 100_000
# Passes of one run, and before the first.
_PASSES = 8
_WARM_UP = 3


def measure(*, flow: str, workers: int, per_pass: int, runs: int, seed: int) -> dict[str, Any]:
    """Runs one of the flows below; placements a second, run by run."""
    random = Random(seed)
    asks, cluster = habits(random), Cluster(random)
    cluster.attach(mixed_fleet(workers))
    make = FLOWS[flow](random, asks)
    _fill(cluster, make)
    if flow == "behind":
        for ask in vain():
            for _ in range(10):
                cluster.submit(ask, _VAIN_TASKS // 10 // len(vain()), may_wait=True)
    if flow == "full":
        for ask in asks:
            if ask.band is PriorityBand.BATCH:
                cluster.submit(ask, _BACKLOG_TASKS // len(asks), may_wait=True)
        cluster.place_all()
    rates, placed = [], 0
    for run in range(-1, runs):
        passes = [_pass(cluster, per_pass, make) for _ in range(_WARM_UP if run < 0 else _PASSES)]
        if run >= 0:
            count = sum(one.placed for one in passes)
            rates.append(count / sum(one.seconds for one in passes))
            placed += count
    return {"runs": rates, "count": placed}


# What begins, given what has ended.
Make = Callable[[Sequence[Ask]], Iterator[tuple[Ask, int]]]


def _mixed(random: Random, asks: Sequence[Ask]) -> Make:
    def make(ended: Sequence[Ask]) -> Iterator[tuple[Ask, int]]:
        """The same again, so that the mix stays what it is."""
        return jobs_of(ended or random.choices(asks, k=500), random)

    return make


def _one_shape(random: Random, asks: Sequence[Ask]) -> Make:
    ask = Ask("user", PriorityBand.INTERACTIVE, SHAPES[1])
    return lambda ended: jobs_of([ask] * (len(ended) or 500), random)


def _own_shapes(random: Random, asks: Sequence[Ask]) -> Make:
    def make(ended: Sequence[Ask]) -> Iterator[tuple[Ask, int]]:
        for _ in range(len(ended) or 500):
            user = f"user{random.randrange(10)}"
            yield Ask(user, PriorityBand.INTERACTIVE, shape_of_its_own(random)), 1

    return make


FLOWS: Mapping[str, Callable[[Random, Sequence[Ask]], Make]] = {
    "mixed": _mixed,
    "behind": _mixed,
    "full": _mixed,
    "one shape": _one_shape,
    "own shapes": _own_shapes,
}


def _fill(cluster: Cluster, make: Make) -> None:
    """Brings the fleet to where it is busy, and chips to where a whole machine's are still found."""
    total = cluster.total()
    chips_left = int(_CHIPS_BUSY * dict(total.accelerators)[CHIP])
    while cluster.used().cpu_millis < _BUSY * total.cpu_millis:
        for ask, tasks in make(()):
            chips = dict(ask.shape.resources.accelerators).get(CHIP, 0) * tasks
            if chips <= chips_left:
                chips_left -= chips
                cluster.submit(ask, tasks)
        placed = cluster.place_all()
        cluster.give_up_waiting()
        if not placed:
            return  # nothing more of this kind fits


def _pass(cluster: Cluster, per_pass: int, make: Make) -> Pass:
    ended = cluster.end_some(per_pass)
    for ask, tasks in make(ended):
        cluster.submit(ask, tasks)
    seen = cluster.place()
    cluster.give_up_waiting()
    return seen
