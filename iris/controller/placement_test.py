"""The scheduler's answers become events, demand and reasons, also for jobs larger than its view."""

from iris.controller.placement import Placement
from iris.controller.state.scenario import JOB, Scenario, spec
from iris.controller.state.views import TASKS_IN_VIEW
from iris.model.pending import PendingCode
from iris.model.resources import Resources
from iris.model.states import TaskState
from iris.testing.clock import FakeClock
from iris.testing.ids import CountedIds

TINY = Resources(cpu_millis=1)


def placement_for(world: Scenario) -> Placement:
    return Placement(world.state, clock=FakeClock(), ids=CountedIds())


def test_a_job_larger_than_the_view_is_placed_turn_by_turn() -> None:
    world = Scenario()
    world.attach("w1", total=Resources(cpu_millis=10**9))
    tasks = 2 * TASKS_IN_VIEW + 7
    world.submit(spec(tasks, resources=TINY))
    placement = placement_for(world)
    sizes, again = [], True
    while again:
        placed = placement.place()
        assert placed.event is not None
        sizes.append(len(placed.event.assignments))
        world.apply(placed.event)
        again = placed.again
    assert sizes == [TASKS_IN_VIEW, TASKS_IN_VIEW, 7]
    assert world.job().counts[TaskState.ASSIGNED] == tasks
    assert not placement.fleet_view().demands


def test_demand_counts_also_what_the_scheduler_was_not_shown() -> None:
    world = Scenario()
    world.attach("w1", total=Resources(cpu_millis=10))
    tasks = 3 * TASKS_IN_VIEW
    world.submit(spec(tasks, resources=TINY))
    placement = placement_for(world)
    placed = placement.place()
    assert not placed.again, "the worker is full"
    assert placed.event is not None
    world.apply(placed.event)
    (demand,) = placement.fleet_view().demands
    assert demand.tasks == tasks - 10
    reason = placement.reasons.of(JOB)
    assert reason is not None
    assert reason.code is PendingCode.INSUFFICIENT_RESOURCE


def test_retries_that_wait_are_no_demand() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(failures=1))
    placement = placement_for(world)
    world.assign((0, "w1"))
    world.end(0, TaskState.FAILED)
    assert placement.place().event is None
    assert not placement.fleet_view().demands


def test_jobs_are_served_in_the_order_in_which_they_came() -> None:
    world = Scenario()
    for number in range(20):
        world.submit(spec(resources=TINY), f"/alice/job{number}")
    world.attach("w1", total=Resources(cpu_millis=5))
    placed = placement_for(world).place()
    assert placed.event is not None
    assert [one.task_id for one in placed.event.assignments] == [
        f"/alice/job{number}/0" for number in range(5)
    ]
