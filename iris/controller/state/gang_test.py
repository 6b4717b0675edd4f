"""A gang starts as one, restarts as one and ends as one."""

import pytest

from iris.controller.state import events
from iris.controller.state.records import StopIntent
from iris.controller.state.scenario import TASK, WORKER_TOTAL, Scenario, spec
from iris.controller.state.views import snapshot
from iris.model.errors import Internal
from iris.model.ids import SliceId
from iris.model.states import JobState, TaskState
from iris.scheduler.policy import SchedulingPolicy

PENDING, ASSIGNED, RUNNING = TaskState.PENDING, TaskState.ASSIGNED, TaskState.RUNNING
SUCCEEDED, FAILED, KILLED = TaskState.SUCCEEDED, TaskState.FAILED, TaskState.KILLED
PLACES = ((0, "w0"), (1, "w1"), (2, "w2"))


def running_gang(*, failures: int = 0, preemptions: int = 100) -> Scenario:
    """Three members, each on a worker of its own."""
    world = Scenario()
    for worker in ("w0", "w1", "w2"):
        world.attach(worker)
    world.submit(spec(3, gang=True, failures=failures, preemptions=preemptions))
    world.assign(*PLACES)
    world.run(0, 1, 2)
    return world


def startable(world: Scenario) -> int:
    """How many tasks the scheduler is shown."""
    shown = snapshot(world.state, world.now, SchedulingPolicy())
    return sum(one.tasks for one in shown.classes)


def test_all_or_nothing_is_placed() -> None:
    world = Scenario()
    world.attach("w0")
    world.submit(spec(3, gang=True))
    assert startable(world) == 3
    with pytest.raises(Internal, match="in part"):
        world.assign((0, "w0"), (1, "w0"))


def test_a_gang_that_succeeds() -> None:
    world = running_gang()
    for index in (2, 0):
        world.end(index, SUCCEEDED)
        assert world.states() == [RUNNING] * 3, "until all have succeeded it may have to run again"
        assert world.attempt(world.uid(index)).state is SUCCEEDED
        assert world.free(f"w{index}") == WORKER_TOTAL
    world.end(1, SUCCEEDED)
    assert world.states() == [SUCCEEDED] * 3
    assert world.job_state() is JobState.SUCCEEDED


def test_success_seen_before_anything_else_of_the_attempt() -> None:
    world = Scenario()
    world.attach("w0")
    world.submit(spec(2, gang=True))
    world.assign((0, "w0"), (1, "w0"))
    world.end(0, SUCCEEDED)
    assert world.states() == [RUNNING, ASSIGNED], "it may have to run again"
    world.end(1, SUCCEEDED)
    assert world.job_state() is JobState.SUCCEEDED


def test_a_members_failure_that_is_retried_restarts_all() -> None:
    world = running_gang(failures=1)
    effects = world.end(1, FAILED, exit_code=7)
    assert set(effects.stop) == {("w0", world.uid(0)), ("w2", world.uid(2))}
    assert world.attempt(world.uid(0)).stop is StopIntent.RESTART
    assert world.states() == [RUNNING, PENDING, RUNNING]
    assert startable(world) == 0
    world.pass_time(1000)
    assert startable(world) == 0, "the others' ends are not known yet"
    world.end(0, KILLED)
    assert startable(world) == 0
    world.end(2, FAILED, exit_code=1)
    assert world.states() == [PENDING] * 3
    assert startable(world) == 3
    assert [world.task(index).failures for index in range(3)] == [0, 1, 0]
    assert world.job().record.retries == 1
    assert "exit code 7" in world.attempt(world.uid(0)).error
    assert "/alice/job/1" in world.attempt(world.uid(2)).error
    world.assign(*PLACES)
    world.run(0, 1, 2)
    for index in range(3):
        world.end(index, SUCCEEDED)
    assert world.job_state() is JobState.SUCCEEDED


def test_the_restart_waits_even_if_all_ends_are_known() -> None:
    world = running_gang(failures=1)
    world.end(1, FAILED)
    world.end(0, KILLED)
    world.end(2, KILLED)
    assert startable(world) == 0
    world.pass_time(1000)
    assert startable(world) == 3


def test_a_member_that_had_succeeded_runs_again_with_the_others() -> None:
    world = running_gang(failures=1)
    world.end(0, SUCCEEDED)
    world.end(1, FAILED)
    assert world.states() == [PENDING, PENDING, RUNNING]
    world.end(2, SUCCEEDED)
    world.pass_time(1000)
    assert world.states() == [PENDING] * 3
    assert startable(world) == 3
    world.assign(*PLACES)
    assert [world.task(index).attempts for index in range(3)] == [2, 2, 2]


def test_a_lost_worker_restarts_all_and_counts_once() -> None:
    world = running_gang()
    effects = world.lose("w2")
    assert set(effects.stop) == {("w0", world.uid(0)), ("w1", world.uid(1))}
    world.lose("w1")
    world.end(0, KILLED)
    assert [world.task(index).preemptions for index in range(3)] == [0, 0, 1]
    assert world.job().record.retries == 1
    world.pass_time(1000)
    assert startable(world) == 3


def test_a_slice_that_is_gone_restarts_the_gang_once() -> None:
    world = running_gang(preemptions=1)
    world.apply(events.SliceGone(world.now, SliceId("s1"), "preempted", 0.5))
    assert world.states() == [PENDING] * 3
    assert world.job().record.retries == 1
    world.pass_time(1000)
    for worker in ("w0", "w1", "w2"):
        world.attach(worker, incarnation="two")
    world.assign(*PLACES)
    world.apply(events.SliceGone(world.now, SliceId("s1"), "preempted", 0.5))
    assert world.job_state() is JobState.FAILED
    assert [world.task(index).preemptions for index in range(3)] == [2, 0, 0]


def test_a_member_that_fails_for_good_ends_the_gang() -> None:
    world = running_gang()
    world.end(0, SUCCEEDED)
    effects = world.end(1, FAILED, exit_code=7)
    assert list(effects.stop) == [("w2", world.uid(2))]
    world.end(2, KILLED)
    assert world.states() == [SUCCEEDED, FAILED, KILLED]
    assert world.job_state() is JobState.FAILED
    assert "/alice/job/1" in world.task(2).error
    assert "exit code 7" in world.attempt(world.uid(2)).error
    for worker in ("w0", "w1", "w2"):
        assert world.free(worker) == WORKER_TOTAL


def test_termination_overrides_a_restart_under_way() -> None:
    world = running_gang(failures=1)
    world.end(1, FAILED)
    effects = world.terminate("enough")
    assert world.attempt(world.uid(0)).stop is StopIntent.KILL
    assert set(effects.stop) == {("w0", world.uid(0)), ("w2", world.uid(2))}
    assert world.states() == [RUNNING, KILLED, RUNNING]
    world.end(0, KILLED)
    world.lose("w2")
    assert world.states() == [KILLED] * 3
    assert world.job_state() is JobState.KILLED


def test_failures_of_members_that_are_stopped_start_no_second_restart() -> None:
    world = running_gang(failures=1)
    world.end(1, FAILED)
    world.end(0, FAILED)
    world.end(2, FAILED)
    assert world.job().record.retries == 1
    assert [world.task(index).failures for index in range(3)] == [0, 1, 0]


def test_resources_of_a_restart_come_back_one_by_one() -> None:
    world = running_gang(failures=1)
    world.end(1, FAILED)
    assert world.free("w1") == WORKER_TOTAL
    assert world.free("w0") == WORKER_TOTAL - TASK
    world.end(0, KILLED)
    assert world.free("w0") == WORKER_TOTAL


def test_the_scheduler_sees_members_in_order_of_their_indices() -> None:
    world = running_gang(failures=1)
    world.end(2, FAILED)
    world.end(1, KILLED)
    world.end(0, KILLED)
    world.pass_time(1000)
    (shown,) = snapshot(world.state, world.now, SchedulingPolicy()).classes
    (job,) = shown.jobs
    assert [task.task_id for task in job.tasks] == [f"/alice/job/{index}" for index in range(3)]
    assert [task.avoid for task in job.tasks] == [frozenset(), frozenset(), frozenset({"w2"})]
