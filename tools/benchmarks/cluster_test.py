"""A placement that is wrong ends a measurement: a fast scheduler that places wrongly is worth
nothing.
"""

from collections.abc import Callable
from random import Random

import pytest

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.ids import TaskId, WorkerId
from iris.model.job import Gang
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.scheduler.snapshot import Placement, Schedule, Snapshot
from tools.benchmarks.cluster import START, Cluster, WrongPlacement, mixed_fleet, worker_attached
from tools.benchmarks.workload import SHAPES, STANDARD, Ask, Shape, habits, jobs_of

SMALL = Ask("user", PriorityBand.BATCH, Shape(Resources(1000)))


class Says:
    """A scheduler that answers what it was told to."""

    def __init__(self, *places: tuple[str, int]) -> None:
        self._places = places

    def schedule(self, snapshot: Snapshot) -> Schedule:
        return Schedule(
            tuple(Placement(TaskId(task), WorkerId(f"worker-{n}")) for task, n in self._places)
        )


def cluster(scheduler: Says | None = None, workers: int = 8) -> Cluster:
    made = Cluster(Random(1), scheduler=scheduler)
    made.attach(worker_attached(number, STANDARD, "standard", START) for number in range(workers))
    return made


def asking(**shape: object) -> Ask:
    return Ask("user", PriorityBand.BATCH, Shape(**{"resources": Resources(1000)} | shape))


NOWHERE = (Constraint("zone", ConstraintOp.EQ, ("nowhere",)),)


@pytest.mark.parametrize(
    ("ask", "places"),
    [
        (SMALL, [("/user/job-1/0", 0), ("/user/job-1/0", 1)]),
        (SMALL, [("/user/job-1/0", 99)]),
        (asking(resources=Resources(20_000)), [("/user/job-1/0", 0), ("/user/job-1/1", 0)]),
        (asking(constraints=NOWHERE), [("/user/job-1/0", 0)]),
        (asking(gang=Gang("slice-id")), [("/user/job-1/0", 0)]),
        (asking(gang=Gang("slice-id")), [("/user/job-1/0", 3), ("/user/job-1/1", 4)]),
    ],
    ids=["twice", "no such worker", "too much", "constraint", "half a gang", "two groups"],
)
def test_what_is_wrong_is_found(ask: Ask, places: list[tuple[str, int]]) -> None:
    made = cluster(Says(*places))
    made.submit(ask, 2)
    with pytest.raises(WrongPlacement):
        made.place()


def test_a_taint_is_looked_at() -> None:
    made = Cluster(Random(1), scheduler=Says(("/user/job-1/0", 0)))
    made.attach([worker_attached(0, STANDARD, "tpu", START)])
    made.submit(SMALL, 1)
    with pytest.raises(WrongPlacement):
        made.place()


def test_what_is_right_is_carried_out() -> None:
    made = cluster(Says(("/user/job-1/0", 0), ("/user/job-1/1", 3)))
    made.submit(asking(gang=Gang("slice-id")), 2)
    assert made.place().placed == 2
    assert len(made.running) == 2
    assert made.used().cpu_millis == 2000
    assert made.end_gangs(1) == [asking(gang=Gang("slice-id"))]
    assert made.used() == Resources()


@pytest.mark.parametrize("flow", [lambda asks: asks, lambda asks: asks[:1]])
def test_the_flow_goes_on(flow: Callable[[tuple[Ask, ...]], tuple[Ask, ...]]) -> None:
    """As much begins as has ended, and all of it finds a place."""
    random = Random(7)
    made = Cluster(random)
    made.attach(mixed_fleet(40))
    for ask, tasks in jobs_of(flow(habits(random)) * 8, random):
        made.submit(ask, tasks)
    running = made.place_all()
    for _ in range(3):
        made.give_up_waiting()
        ended = made.end_some(20)
        for ask, tasks in jobs_of(ended, random):
            made.submit(ask, tasks)
        made.place_all()
        assert len(made.running) == running


def test_the_fleet_has_all_kinds_of_workers() -> None:
    kinds = [event.scale_group for event in mixed_fleet(40)]
    assert {kind: kinds.count(kind) for kind in kinds} == {"standard": 28, "large": 8, "tpu": 4}


def test_there_are_as_many_shapes_as_promised() -> None:
    assert len(set(SHAPES)) == 20
