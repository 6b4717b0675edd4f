"""Gangs placed a second: four tasks, on the four workers of one slice, all at once."""

from random import Random
from typing import Any

from iris.model.job import Gang
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.taints import Toleration
from tools.benchmarks.cluster import START, Cluster, worker_attached
from tools.benchmarks.workload import CHIP, TPU, WORKERS_PER_SLICE, Ask, Shape

_SHAPE = Shape(
    Resources(8000, 0, 0, ((CHIP, 4),)),
    tolerations=(Toleration("tpu"),),
    gang=Gang("tpu-name"),
)
_ASKS = tuple(
    Ask(f"user{number}", band, _SHAPE)
    for number in range(4)
    for band in (PriorityBand.INTERACTIVE, PriorityBand.BATCH)
)
_PASSES = 8
_WARM_UP = 3


def measure(*, workers: int, behind: int, runs: int, seed: int) -> dict[str, Any]:
    """Gangs a second, run by run; `behind` more of them wait all the time."""
    random = Random(seed)
    cluster = Cluster(random)
    cluster.attach(worker_attached(number, TPU, "tpu", START) for number in range(workers))
    slices = workers // WORKERS_PER_SLICE
    for number in range(slices + behind):
        cluster.submit(_ASKS[number % len(_ASKS)], WORKERS_PER_SLICE)
    cluster.place_all()
    rates, gangs = [], 0
    for run in range(-1, runs):
        count, seconds = 0, 0.0
        for _ in range(_WARM_UP if run < 0 else _PASSES):
            for ask in cluster.end_gangs(slices // 2):
                cluster.submit(ask, WORKERS_PER_SLICE)
            seen = cluster.place()
            count += seen.placed // WORKERS_PER_SLICE
            seconds += seen.seconds
        if run >= 0:
            rates.append(count / seconds)
            gangs += count
    return {"runs": rates, "count": gangs}
