"""Jobs that run out of time."""

from datetime import timedelta
from typing import Any

import pytest

from iris.controller.state import invariants
from iris.controller.state.records import StopIntent
from iris.controller.state.scenario import JOB, START, TASK, WORKER_TOTAL, Scenario, spec
from iris.model.job import ExistingJobPolicy
from iris.model.states import JobState, TaskState

PENDING, RUNNING, SUCCEEDED = TaskState.PENDING, TaskState.RUNNING, TaskState.SUCCEEDED
FAILED, KILLED, UNSCHEDULABLE = TaskState.FAILED, TaskState.KILLED, TaskState.UNSCHEDULABLE
TEN = timedelta(seconds=10)


def world_with(replicas: int, **more: Any) -> Scenario:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(replicas, **more))
    return world


# --- scheduling_timeout ----------------------------------------------------------------------


def test_a_job_that_finds_no_place_in_time_is_unschedulable() -> None:
    world = world_with(2, scheduling_timeout=TEN)
    assert world.state.next_due() == START + TEN
    world.pass_time(9.999)
    assert world.job_state() is JobState.PENDING
    world.pass_time(0.001)
    assert world.states() == [UNSCHEDULABLE] * 2
    assert world.job_state() is JobState.UNSCHEDULABLE
    assert "scheduling_timeout" in world.job().record.error
    assert world.task(1).error == world.job().record.error
    assert world.state.next_due() is None
    assert not world.shown().classes


def test_one_task_without_a_place_ends_the_job() -> None:
    world = world_with(3, scheduling_timeout=TEN, failures=1)
    world.assign((0, "w1"), (1, "w1"))
    world.run(0)
    world.end(1, FAILED)
    effects = world.pass_time(10)
    assert world.states()[2] is UNSCHEDULABLE
    assert "1 of 3 tasks" in world.job().record.error
    assert list(effects.stop) == [("w1", world.uid(0))]
    assert world.attempt(world.uid(0)).stop is StopIntent.KILL
    world.end(0, KILLED)
    assert world.job_state() is JobState.UNSCHEDULABLE
    invariants.check(world.state)


def test_a_gang_without_a_place_is_unschedulable_as_a_whole() -> None:
    world = world_with(3, gang=True, scheduling_timeout=TEN)
    world.pass_time(10)
    assert world.states() == [UNSCHEDULABLE] * 3
    world = world_with(3, gang=True, scheduling_timeout=TEN, failures=1)
    world.assign((0, "w1"), (1, "w1"), (2, "w1"))
    world.end(0, FAILED)
    world.end(1, KILLED)
    world.end(2, KILLED)
    world.pass_time(1000)
    assert world.states() == [PENDING] * 3, "it had one once"


def test_a_termination_before_it_is_none_of_its_business() -> None:
    world = world_with(1, scheduling_timeout=TEN)
    world.terminate()
    assert world.state.next_due() is None
    assert not world.pass_time(10).jobs
    assert world.job_state() is JobState.KILLED


def test_who_had_a_place_once_may_wait_for_the_next() -> None:
    world = world_with(2, scheduling_timeout=TEN, failures=1)
    world.assign((0, "w1"), (1, "w1"))
    assert world.state.next_due() is None
    world.end(0, FAILED)
    world.pass_time(100)
    assert world.states() == [PENDING, TaskState.ASSIGNED]


# --- timeout ---------------------------------------------------------------------------------


def test_a_timeout_counts_from_the_first_placement() -> None:
    world = world_with(3, timeout=TEN)
    world.pass_time(1000)
    assert world.state.next_due() is None
    world.assign((0, "w1"))
    assert world.job().record.placed_at == world.now
    assert world.state.next_due() == world.now + TEN
    world.pass_time(5)
    world.assign((1, "w1"))
    assert world.job().record.placed_at == world.now - timedelta(seconds=5)


def test_what_has_not_ended_in_time_has_failed() -> None:
    world = world_with(4, timeout=TEN, failures=1, max_task_failures=3)
    world.assign((0, "w1"), (1, "w1"), (2, "w1"))
    world.run(0, 1)
    world.end(0, SUCCEEDED)
    world.end(2, FAILED)
    world.now += TEN
    effects = world.pass_time(0)
    assert world.states() == [SUCCEEDED, RUNNING, FAILED, FAILED]
    assert list(effects.stop) == [("w1", world.uid(1))]
    assert world.attempt(world.uid(1)).stop is StopIntent.TIMEOUT
    assert world.free("w1") == WORKER_TOTAL - TASK, "given back when the end is observed"
    assert world.job_state() is JobState.RUNNING
    world.end(1, KILLED)
    assert world.states() == [SUCCEEDED, FAILED, FAILED, FAILED]
    assert world.job_state() is JobState.FAILED, "however many may fail"
    assert world.free("w1") == WORKER_TOTAL
    for error in (world.job().record.error, world.task(1).error, world.task(3).error):
        assert "timeout" in error
    assert world.attempt(world.uid(1)).state is KILLED, "what was observed stays"
    assert world.state.next_due() is None
    invariants.check(world.state)


def test_success_too_late_is_success_of_the_task_alone() -> None:
    world = world_with(1, timeout=TEN)
    world.assign((0, "w1"))
    world.pass_time(10)
    world.end(0, SUCCEEDED)
    assert world.states() == [SUCCEEDED]
    assert world.job_state() is JobState.FAILED
    invariants.check(world.restored().state)


def test_a_gang_times_out_as_a_whole() -> None:
    world = world_with(3, gang=True, timeout=TEN)
    world.assign((0, "w1"), (1, "w1"), (2, "w1"))
    world.run(0, 1, 2)
    world.end(0, SUCCEEDED)
    world.pass_time(10)
    assert world.states() == [SUCCEEDED, RUNNING, RUNNING]
    world.end(1, KILLED)
    world.lose("w1")
    assert world.states() == [SUCCEEDED, FAILED, FAILED]
    assert world.job_state() is JobState.FAILED


def test_a_job_that_has_ended_does_not_time_out() -> None:
    world = world_with(1, timeout=TEN)
    world.assign((0, "w1"))
    world.end(0, SUCCEEDED)
    assert world.state.next_due() is None
    assert not world.pass_time(10).jobs
    assert world.job_state() is JobState.SUCCEEDED


def test_a_job_that_is_being_ended_does_not_time_out_as_well() -> None:
    world = world_with(1, timeout=TEN)
    world.assign((0, "w1"))
    world.terminate("enough")
    assert world.state.next_due() is None
    world.pass_time(10)
    world.end(0, KILLED)
    assert world.job_state() is JobState.KILLED


def test_a_timeout_is_not_overruled_by_a_termination() -> None:
    world = world_with(1, timeout=TEN)
    world.assign((0, "w1"))
    world.pass_time(10)
    world.terminate("enough")
    assert world.attempt(world.uid(0)).stop is StopIntent.TIMEOUT
    assert "timeout" in world.job().record.error
    world.end(0, KILLED)
    assert world.job_state() is JobState.FAILED


def test_what_was_preempted_times_out_while_it_waits() -> None:
    world = world_with(1, timeout=TEN)
    world.assign((0, "w1"))
    world.preempt(world.uid(0))
    world.end(0, KILLED)
    world.pass_time(10)
    assert world.states() == [FAILED]


# --- all of it ---------------------------------------------------------------------------------


def test_all_that_is_due_is_done_at_once() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(timeout=TEN), "/a/times-out")
    world.submit(spec(failures=1), "/a/retries")
    world.submit(spec(scheduling_timeout=TEN), "/a/waits")
    world.assign((0, "w1"), job_id="/a/times-out")
    world.assign((0, "w1"), job_id="/a/retries")
    world.end(0, FAILED, "/a/retries")
    effects = world.pass_time(100)
    assert list(effects.stop) == [("w1", world.uid(0, "/a/times-out"))]
    assert list(world.job("/a/retries").ready) == [0]
    assert world.job_state("/a/waits") is JobState.UNSCHEDULABLE
    assert world.state.next_due() is None


def test_the_deadline_of_a_job_that_was_replaced_is_not_its_successors() -> None:
    world = world_with(1, timeout=TEN, scheduling_timeout=TEN)
    world.assign((0, "w1"))
    world.end(0, SUCCEEDED)
    world.submit(spec(2, timeout=TEN * 3), policy=ExistingJobPolicy.REPLACE)
    assert world.state.next_due() is None
    assert not world.pass_time(10).jobs
    world.assign((0, "w1"))
    assert world.state.next_due() == START + TEN * 4
    world.pass_time(29)
    assert world.job().is_ending is False
    world.pass_time(1)
    assert world.job().is_ending


def test_the_earliest_of_all_kinds_comes_first() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(scheduling_timeout=TEN * 3), "/a/waits")
    assert world.state.next_due() == START + TEN * 3
    world.submit(spec(timeout=TEN * 2), "/a/runs")
    world.assign((0, "w1"), job_id="/a/runs")
    assert world.state.next_due() == START + TEN * 2
    world.submit(spec(failures=1), "/a/retries")
    world.assign((0, "w1"), job_id="/a/retries")
    world.end(0, FAILED, "/a/retries")
    assert world.state.next_due() == world.task(0, "/a/retries").not_before
    for seconds, due in ((1, TEN * 2), (19, TEN * 3)):
        world.pass_time(seconds)
        assert world.state.next_due() == START + due


def test_a_restart_forgets_no_deadline() -> None:
    world = world_with(1, timeout=TEN, scheduling_timeout=TEN * 3)
    assert world.restored().state.next_due() == START + TEN * 3
    world.assign((0, "w1"))
    world = world.restored()
    assert world.state.next_due() == START + TEN
    world.pass_time(10)
    world = world.restored()
    assert world.attempt(world.uid(0)).stop is StopIntent.TIMEOUT
    assert world.state.next_due() is None


@pytest.mark.parametrize("limit", ["timeout", "scheduling_timeout"])
def test_deadlines_of_jobs_that_have_ended_take_no_room(limit: str) -> None:
    world = Scenario()
    world.attach("w1")
    month = {limit: timedelta(days=30)}
    for _ in range(5_000):
        world.submit(spec(**month))
        world.assign((0, "w1"))
        world.end(0, SUCCEEDED)
        world.prune(JOB)
    assert len(world.state._deadlines) < 2_000
    assert world.state.next_due() is None
