"""The scheduler's answers become events, demand and reasons, also for jobs larger than its view."""

from iris.controller.pending_reasons import PendingReasons
from iris.controller.placement import Placed, Placement
from iris.controller.state.events import TasksAssigned, TasksPreempted
from iris.controller.state.queue import TASKS_IN_VIEW
from iris.controller.state.scenario import JOB, Scenario, spec
from iris.model.pending import PendingCode
from iris.model.priority import PriorityBand
from iris.model.resources import GIB, Resources
from iris.model.states import TaskState
from iris.scheduler.policy import SchedulingPolicy
from iris.testing.ids import CountedIds

TINY = Resources(cpu_millis=1)


def placement_for(world: Scenario) -> Placement:
    return Placement(world.state, SchedulingPolicy(max_placements=100_000), ids=CountedIds())


def assigned(placed: Placed) -> TasksAssigned:
    (event,) = placed.events
    assert isinstance(event, TasksAssigned)
    return event


def test_a_job_larger_than_the_view_is_placed_pass_by_pass() -> None:
    world = Scenario()
    world.attach("w1", total=Resources(cpu_millis=10**9))
    tasks = 2 * TASKS_IN_VIEW + 7
    world.submit(spec(tasks, resources=TINY))
    placement = placement_for(world)
    sizes, again = [], True
    while again:
        placed = placement.place(world.now)
        sizes.append(len(assigned(placed).assignments))
        world.apply(assigned(placed))
        again = placed.schedule.more
    assert sizes == [TASKS_IN_VIEW, TASKS_IN_VIEW, 7]
    assert world.job().counts[TaskState.ASSIGNED] == tasks
    assert not placement.fleet_view().demands


def test_demand_counts_also_what_the_scheduler_was_not_shown() -> None:
    world = Scenario()
    world.attach("w1", total=Resources(cpu_millis=10))
    tasks = 3 * TASKS_IN_VIEW
    world.submit(spec(tasks, resources=TINY))
    placement = placement_for(world)
    placed = placement.place(world.now)
    assert not placed.schedule.more, "the worker is full"
    world.apply(assigned(placed))
    (demand,) = placement.fleet_view().demands
    assert demand.tasks == tasks - 10
    reasons = PendingReasons()
    reasons.scheduled(placed.schedule)
    reason = reasons.of(world.job())
    assert reason is not None
    assert reason.code is PendingCode.INSUFFICIENT_RESOURCE


def test_retries_that_wait_are_no_demand() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(failures=1))
    placement = placement_for(world)
    world.assign((0, "w1"))
    world.end(0, TaskState.FAILED)
    assert placement.place(world.now).events == ()
    assert not placement.fleet_view().demands


def test_jobs_are_served_in_the_order_in_which_they_came() -> None:
    world = Scenario()
    for number in range(20):
        world.submit(spec(resources=TINY), f"/alice/job{number}")
    world.attach("w1", total=Resources(cpu_millis=5))
    placed = placement_for(world).place(world.now)
    assert [one.task_id for one in assigned(placed).assignments] == [
        f"/alice/job{number}/0" for number in range(5)
    ]


def test_demand_of_many_jobs_that_ask_for_the_same_is_one() -> None:
    world = Scenario()
    for number in range(20):
        world.submit(spec(resources=TINY), f"/alice/job{number}")
    placement = placement_for(world)
    placement.place(world.now)
    (demand,) = placement.fleet_view().demands
    assert (demand.job_id, demand.tasks) == ("/alice/job0", 20)


def test_urgent_work_has_running_work_stopped_and_is_no_demand() -> None:
    world = Scenario()
    world.attach("w1", total=Resources(4000, 8 * GIB))
    world.submit(spec(4, band=PriorityBand.BATCH), "/alice/batch")
    placement = placement_for(world)
    world.apply(assigned(placement.place(world.now)))
    world.submit(spec(2, band=PriorityBand.PRODUCTION), JOB)
    (event,) = placement.place(world.now).events
    assert isinstance(event, TasksPreempted)
    assert [one.for_job for one in event.preempted] == [JOB, JOB]
    world.apply(event)
    assert not placement.fleet_view().demands, "their places are coming"
    assert placement.place(world.now).events == (), "nothing is stopped twice"
    for one in event.preempted:
        world.observe(one.attempt_uid, TaskState.KILLED)
    placed = placement.place(world.now)
    assert {one.task_id for one in assigned(placed).assignments} == {f"{JOB}/0", f"{JOB}/1"}
