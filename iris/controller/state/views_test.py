"""What the scheduler and the autoscaler are shown, and that it costs only what has changed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from iris.autoscaler.demand import SliceOccupancy
from iris.controller.state import events, invariants
from iris.controller.state.queue import TASKS_IN_VIEW, UNTIL_KNOWN
from iris.controller.state.scenario import JOB, START, TASK, WORKER_TOTAL, Scenario, spec
from iris.controller.state.views import occupancy, unmet_demand
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.ids import JobId, SliceId, WorkerId
from iris.model.pending import PendingCode, PendingReason
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.states import TaskState
from iris.model.taints import Toleration
from iris.scheduler.snapshot import PendingClass, Schedule, Unplaced

BATCH, INTERACTIVE, PRODUCTION = (
    PriorityBand.BATCH,
    PriorityBand.INTERACTIVE,
    PriorityBand.PRODUCTION,
)
FAILED, KILLED, SUCCEEDED = TaskState.FAILED, TaskState.KILLED, TaskState.SUCCEEDED
TINY = Resources(cpu_millis=1)
NO_WORKERS = PendingReason(PendingCode.NO_WORKERS)


def ids(of: PendingClass) -> list[str]:
    return [job.job_id for job in of.jobs]


# --- workers ---------------------------------------------------------------------------------


def test_a_worker_that_has_not_changed_is_the_same_object_at_the_same_place() -> None:
    world = Scenario()
    for number in range(4):
        world.attach(f"w{number}")
    world.submit(spec(4))
    before = world.shown().workers
    assert world.shown().workers is before
    world.assign((0, "w1"))
    after = world.shown().workers
    assert [new is old for new, old in zip(after, before, strict=True)] == [True, False, True, True]
    assert before[1].free == WORKER_TOTAL, "what was handed out stays as it was"
    assert after[1].free == WORKER_TOTAL - TASK
    world.lose("w0")
    last = world.shown().workers
    assert [view.worker_id for view in last] == ["w3", "w1", "w2"], "the last one fills the gap"
    assert [view for view in last if view in after] == list(last)
    world.attach("w4")
    assert [view.worker_id for view in world.shown().workers] == ["w3", "w1", "w2", "w4"]


def test_what_is_being_stopped_is_being_released() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(2))
    world.assign((0, "w1"), (1, "w1"))
    world.terminate()
    (view,) = world.shown().workers
    assert (view.free, view.releasing) == (WORKER_TOTAL - TASK * 2, TASK * 2)
    world.end(0, KILLED)
    (view,) = world.shown().workers
    assert (view.free, view.releasing) == (WORKER_TOTAL - TASK, TASK)
    world = world.restored()
    (view,) = world.shown().workers
    assert (view.free, view.releasing) == (WORKER_TOTAL - TASK, TASK)


# --- what waits ------------------------------------------------------------------------------


def test_jobs_that_ask_for_the_same_are_one_class_in_order_of_their_numbers() -> None:
    world = Scenario()
    world.submit(spec(2), "/ann/a")
    world.submit(spec(3, band=BATCH), "/ann/b")
    world.submit(spec(4), "/bob/c")
    world.submit(spec(5), "/ann/d")
    world.submit(spec(6, resources=TINY), "/ann/e")
    world.submit(spec(2, gang=True), "/ann/f")
    world.submit(spec(3, gang=True), "/ann/g")
    shown = {(one.band, one.user, ids(one)[0]): one for one in world.shown().classes}
    assert len(shown) == 6
    of = shown[INTERACTIVE, "ann", "/ann/a"]
    assert (ids(of), of.first, of.tasks) == (["/ann/a", "/ann/d"], 1, 7)
    assert ids(of) == ids(of), "they may be looked at repeatedly"
    assert of.request is shown[INTERACTIVE, "bob", "/bob/c"].request
    assert shown[INTERACTIVE, "ann", "/ann/f"].request.gang_size == 2
    for one in shown.values():
        jobs = (world.job(job.job_id) for job in one.jobs)
        assert all(job.request is one.request for job in jobs)


def test_a_class_that_has_not_changed_is_the_same_object() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(2), "/ann/a")
    world.submit(spec(2), "/bob/b")
    ann, bob = world.shown().classes
    world.assign((0, "w1"), job_id="/ann/a")
    changed, same = world.shown().classes
    assert same is bob
    assert (changed.tasks, [task.task_id for job in changed.jobs for task in job.tasks]) == (
        1,
        ["/ann/a/1"],
    )
    assert ann.tasks == 2
    world.assign((1, "w1"), job_id="/ann/a")
    assert world.shown().classes == (bob,)


def test_of_a_large_job_a_part_is_shown_and_all_is_counted() -> None:
    world = Scenario()
    world.attach("w1", total=Resources(cpu_millis=10))
    world.submit(spec(3 * TASKS_IN_VIEW, resources=TINY))
    world.assign((2, "w1"), (3, "w1"))
    (of,) = world.shown().classes
    (job,) = of.jobs
    assert of.tasks == 3 * TASKS_IN_VIEW - 2
    assert len(job.tasks) == TASKS_IN_VIEW
    assert job.tasks[2].task_id == f"{JOB}/4"
    assert job.tasks[0].task_id == f"{JOB}/0"
    assert [task.task_id for task in job.tasks[1:4]] == [f"{JOB}/{index}" for index in (1, 4, 5)]
    assert job.tasks[-1].task_id == f"{JOB}/{TASKS_IN_VIEW + 1}"
    assert len(list(job.tasks)) == TASKS_IN_VIEW
    with pytest.raises(IndexError):
        job.tasks[TASKS_IN_VIEW]


def test_how_long_an_attempt_can_last() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(2, timeout=timedelta(seconds=60)), "/a/default")
    world.submit(spec(timeout=timedelta(seconds=60), stop_grace=timedelta(0)), "/a/own")
    world.submit(spec(), "/a/for-ever")
    world.assign((0, "w1"), job_id="/a/default")
    jobs = {job.job_id: job for one in world.shown().classes for job in one.jobs}
    usual = timedelta(seconds=60) + world.state.stop_grace + UNTIL_KNOWN
    begun, own = jobs[JobId("/a/default")], jobs[JobId("/a/own")]
    assert (begun.lasts, begun.ends_by) == (usual, START + usual)
    assert (own.lasts, own.ends_by) == (timedelta(seconds=60) + UNTIL_KNOWN, None)
    assert jobs[JobId("/a/for-ever")].lasts is None
    (occupant,) = world.shown().work.on(WorkerId("w1"))
    assert occupant.ends_by == START + usual


# --- what runs -------------------------------------------------------------------------------


def test_who_holds_what() -> None:
    world = Scenario()
    world.attach("w1")
    world.attach("w2")
    world.submit(spec(3), "/ann/a")
    world.submit(spec(2, gang=True, band=BATCH), "/bob/b")
    world.assign((2, "w1"), (0, "w2"), job_id="/ann/a")
    world.now += timedelta(seconds=1)
    world.assign((0, "w2"), (1, "w1"), job_id="/bob/b")
    shown = world.shown()
    assert shown.usage == {("ann", INTERACTIVE): TASK * 2, ("bob", BATCH): TASK * 2}
    first, second = shown.work.on(WorkerId("w1"))
    assert (first.job_id, first.user, first.band, first.in_gang) == (
        "/ann/a",
        "ann",
        INTERACTIVE,
        False,
    )
    assert (first.since, second.since) == (START, world.now)
    assert (second.in_gang, second.stopping, second.resources) == (True, False, TASK)
    members = shown.work.of_job(JobId("/bob/b"))
    assert [worker for worker, _ in members] == ["w2", "w1"]
    assert [one.attempt_uid for _, one in members] == [
        world.uid(0, "/bob/b"),
        world.uid(1, "/bob/b"),
    ]
    assert list(shown.work.on(WorkerId("nobody"))) == []
    assert list(shown.work.of_job(JobId("/a/nobody"))) == []
    world.terminate("", "/bob/b")
    assert [one.stopping for one in world.shown().work.on(WorkerId("w1"))] == [False, True]
    world.end(0, KILLED, "/bob/b")
    assert world.shown().usage["bob", BATCH] == TASK


def test_of_a_job_only_what_holds_room_is_named() -> None:
    world = Scenario()
    world.attach("w1")
    world.attach("w2")
    world.submit(spec(4, failures=1))
    world.assign((0, "w1"), (1, "w2"), (2, "w1"))
    world.end(0, FAILED)
    world.lose("w2")
    ((worker, occupant),) = world.shown().work.of_job(JOB)
    assert (worker, occupant.attempt_uid) == ("w1", world.uid(2))


def test_workers_with_work_of_a_later_band() -> None:
    world = Scenario()
    for number in range(3):
        world.attach(f"w{number}")
    for band, places in ((INTERACTIVE, ((0, "w0"), (1, "w1"))), (BATCH, ((0, "w1"), (1, "w2")))):
        world.submit(spec(2, band=band), f"/a/{band.value}")
        world.assign(*places, job_id=f"/a/{band.value}")

    def below(band: PriorityBand) -> list[str]:
        return list(world.shown().work.below(band))

    assert below(PRODUCTION) == ["w1", "w2", "w0"]
    assert below(INTERACTIVE) == ["w1", "w2"]
    assert below(BATCH) == []
    world.end(0, SUCCEEDED, "/a/batch")
    assert below(INTERACTIVE) == ["w2"]
    assert below(PRODUCTION) == ["w2", "w0", "w1"]


def test_work_that_needs_nothing_holds_nothing() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(resources=Resources()))
    world.assign((0, "w1"))
    assert not world.shown().usage
    world.end(0, SUCCEEDED)
    assert not world.shown().usage
    invariants.check(world.state)


# --- demand ----------------------------------------------------------------------------------


def unplaced(world: Scenario, **more: object) -> Unplaced:
    """The only class that waits, as the scheduler reports it."""
    (of,) = world.shown().classes
    one = Unplaced(of.band, of.user, of.request, JobId(ids(of)[0]), NO_WORKERS)
    return replace(one, within_budget=of.tasks, **more)  # type: ignore[arg-type]


def test_single_tasks_of_a_class_are_one_demand() -> None:
    world = Scenario()
    rule = Constraint("zone", ConstraintOp.EQ, ("a",))
    wish = Constraint("fast", ConstraintOp.EXISTS, required=False)
    taint = Toleration("spot")
    for name, tasks in (("/a/one", 3), ("/a/two", 2 * TASKS_IN_VIEW)):
        world.submit(spec(tasks, constraints=(rule, wish), tolerations=(taint,)), name)
    (demand,) = unmet_demand(world.state, Schedule(unplaced=(unplaced(world),)))
    assert (demand.job_id, demand.tasks, demand.gang) == ("/a/one", 3 + 2 * TASKS_IN_VIEW, None)
    assert (demand.constraints, demand.tolerations) == ((rule,), (taint,))
    assert (demand.resources, demand.band) == (TASK, INTERACTIVE)


def test_neither_what_budgets_forbid_nor_what_room_is_coming_for_is_demand() -> None:
    world = Scenario()
    world.submit(spec(10))

    def tasks(within_budget: int, waits_for_stop: int) -> list[int]:
        one = unplaced(world)
        one = replace(one, within_budget=within_budget, waits_for_stop=waits_for_stop)
        return [d.tasks for d in unmet_demand(world.state, Schedule(unplaced=(one,)))]

    assert tasks(10, 0) == [10]
    assert tasks(7, 2) == [5]
    assert tasks(100, 4) == [6]
    assert tasks(3, 3) == []
    assert tasks(0, 0) == []


def test_what_has_begun_or_is_delayed_is_no_demand() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(3, failures=1))
    world.assign((0, "w1"), (1, "w1"))
    world.end(0, FAILED)
    one = unplaced(world)
    (demand,) = unmet_demand(world.state, Schedule(unplaced=(one,)))
    assert demand.tasks == 1
    world.terminate()
    assert unmet_demand(world.state, Schedule(unplaced=(one,))) == ()


def test_each_gang_is_a_demand_unless_room_is_coming_for_it() -> None:
    world = Scenario()
    for number in range(5):
        world.submit(spec(2, gang=True), f"/a/gang{number}")
    coming = {JobId("/a/gang0"): PendingReason(PendingCode.WAITS_FOR_STOP)}
    held = {JobId("/a/gang1"): PendingReason(PendingCode.GANG_INCOMPLETE)}
    one = unplaced(world, waits_for_stop=2)

    def names(within_budget: int) -> list[str]:
        left = replace(one, within_budget=within_budget)
        schedule = Schedule(unplaced=(left,), job_reasons={**coming, **held})
        demands = unmet_demand(world.state, schedule)
        assert all((d.tasks, d.gang) == (2, one.request.gang) for d in demands)
        return [d.job_id for d in demands]

    assert names(10) == [f"/a/gang{number}" for number in range(1, 5)]
    assert names(7) == ["/a/gang1", "/a/gang2"], "one of three has room coming"
    assert names(2) == []


def test_of_very_many_gangs_as_many_are_demands_as_could_be_bought_for() -> None:
    world = Scenario()
    for number in range(1_100):
        world.submit(spec(2, gang=True), f"/a/gang{number}")
    demands = unmet_demand(world.state, Schedule(unplaced=(unplaced(world),)))
    assert [demand.job_id for demand in demands] == [f"/a/gang{n}" for n in range(1_000)]


def test_demand_is_named_after_the_job_that_was_unplaced_as_long_as_it_waits() -> None:
    world = Scenario()
    for name in ("/a/first", "/a/second", "/a/third"):
        world.submit(spec(), name)
    one = replace(unplaced(world), job_id=JobId("/a/second"))

    def name() -> str:
        (demand,) = unmet_demand(world.state, Schedule(unplaced=(one,)))
        return demand.job_id

    assert name() == "/a/second"
    world.terminate("", "/a/second")
    assert name() == "/a/first"
    world.prune("/a/second")
    assert name() == "/a/first"
    world.submit(spec(resources=TINY), "/a/second")
    assert name() == "/a/first", "it asks for something else now"


def test_demands_come_in_the_order_of_service() -> None:
    world = Scenario()
    world.submit(spec(), "/a/batch")
    late = unplaced(world)
    world.terminate("", "/a/batch")
    world.submit(spec(band=PRODUCTION), "/b/production")
    first = unplaced(world)
    world.prune("/a/batch")
    world.submit(spec(), "/a/batch")
    demands = unmet_demand(world.state, Schedule(unplaced=(first, late)))
    assert [demand.job_id for demand in demands] == ["/b/production", "/a/batch"]


# --- slices ----------------------------------------------------------------------------------


def test_occupancy_of_slices() -> None:
    world = Scenario()
    world.attach("w1", slice_id="s1")
    world.attach("w2", slice_id="s1")
    world.attach("w3", slice_id="s2")
    world.attach("w4", slice_id="")
    world.submit(spec(2))
    world.assign((0, "w1"))
    world.detach("w2")
    world.now += timedelta(seconds=5)
    busy, idle = SliceOccupancy(1, 1, None), SliceOccupancy(1, 0, START)
    assert occupancy(world.state.fleet) == {"s1": busy, "s2": idle}
    world.end(0, SUCCEEDED)
    world.apply(events.SliceDraining(world.now, SliceId("s2")))
    assert occupancy(world.state.fleet) == {
        "s1": SliceOccupancy(1, 0, world.now),
        "s2": SliceOccupancy(0, 0, START),
    }
    world.apply(events.SliceGone(world.now, SliceId("s2"), "idle", 0.5))
    assert set(occupancy(world.state.fleet)) == {"s1"}
