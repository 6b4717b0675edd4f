"""Work makes room for work of an earlier band, and is placed anew."""

from datetime import timedelta
from typing import Any

import pytest

from iris.controller.state import events, invariants
from iris.controller.state.records import StopIntent
from iris.controller.state.scenario import TASK, WORKER_TOTAL, Scenario, spec
from iris.model.errors import Internal
from iris.model.priority import PriorityBand
from iris.model.states import JobState, TaskState

PENDING, RUNNING, SUCCEEDED = TaskState.PENDING, TaskState.RUNNING, TaskState.SUCCEEDED
FAILED, KILLED, PREEMPTED = TaskState.FAILED, TaskState.KILLED, TaskState.PREEMPTED


def single(replicas: int = 1, **more: Any) -> Scenario:
    """A batch job whose first task runs."""
    world = Scenario()
    world.attach("w1")
    world.submit(spec(replicas, band=PriorityBand.BATCH, **more))
    world.assign((0, "w1"))
    world.run(0)
    return world


def gang(**more: Any) -> Scenario:
    """Three members that run."""
    world = Scenario()
    world.attach("w1")
    world.submit(spec(3, gang=True, failures=1, **more))
    world.assign((0, "w1"), (1, "w1"), (2, "w1"))
    world.run(0, 1, 2)
    return world


def uids(world: Scenario) -> list[str]:
    return [world.uid(index) for index in range(3)]


@pytest.mark.parametrize("reported", [FAILED, KILLED])
def test_what_makes_room_waits_anew_at_once(reported: TaskState) -> None:
    world = single()
    uid = world.uid(0)
    effects = world.preempt(uid)
    assert list(effects.stop) == [("w1", uid)]
    assert effects.reschedule
    assert world.attempt(uid).stop is StopIntent.PREEMPT
    assert "/bob/urgent" in world.attempt(uid).stop_reason
    assert world.states() == [RUNNING], "until it has stopped"
    assert world.free("w1") == WORKER_TOTAL - TASK
    (view,) = world.shown().workers
    assert (view.free, view.releasing) == (WORKER_TOTAL - TASK, TASK)
    world.observe(uid, reported, exit_code=1)
    assert world.attempt(uid).state is PREEMPTED
    assert world.attempt(uid).error == "it makes room for /bob/urgent"
    task = world.task(0)
    assert (task.state, task.preemptions, task.failures) == (PENDING, 1, 0)
    assert (task.not_before, task.avoid) == (None, ())
    assert list(world.job().ready) == [0]
    assert world.job().record.retries == 0, "the job is not to blame"
    assert world.free("w1") == WORKER_TOTAL
    (view,) = world.shown().workers
    assert view.releasing == TASK - TASK
    invariants.check(world.state)


def test_success_while_being_stopped_is_success() -> None:
    world = single()
    world.preempt(world.uid(0))
    world.end(0, SUCCEEDED)
    assert world.attempt(world.uid(0)).state is SUCCEEDED
    assert world.attempt(world.uid(0)).error == ""
    assert (world.task(0).preemptions, world.task(0).error) == (0, "")
    assert world.job_state() is JobState.SUCCEEDED


def test_a_worker_that_is_lost_meanwhile_changes_nothing() -> None:
    world = single(preemptions=1)
    world.preempt(world.uid(0))
    world.lose("w1")
    assert world.attempt(world.uid(0)).state is PREEMPTED
    assert world.attempt(world.uid(0)).error == (
        "it makes room for /bob/urgent (w1 was silent); log lines may be missing"
    )
    assert (world.task(0).state, world.task(0).preemptions) == (PENDING, 1)
    assert list(world.job().ready) == [0]


@pytest.mark.parametrize("budget", [0, 1, 3])
def test_the_budget_is_exact(budget: int) -> None:
    world = single(2, preemptions=budget)
    for _ in range(budget):
        world.preempt(world.uid(0))
        world.end(0, KILLED)
        world.assign((0, "w1"))
    world.preempt(world.uid(0))
    world.end(0, KILLED)
    assert world.states() == [PREEMPTED, KILLED]
    assert world.job_state() is JobState.FAILED
    assert "max_retries_preemption" in world.job().record.error


def test_a_task_that_was_preempted_for_good_counts_as_a_failure() -> None:
    world = single(2, preemptions=0, max_task_failures=1)
    world.preempt(world.uid(0))
    world.end(0, KILLED)
    assert world.states() == [PREEMPTED, PENDING], "one may fail"
    world.assign((1, "w1"))
    world.end(1, SUCCEEDED)
    assert world.job_state() is JobState.SUCCEEDED


def test_what_is_being_stopped_or_has_ended_stays_so() -> None:
    world = single()
    world.terminate()
    assert not world.preempt(world.uid(0)).stop
    assert world.attempt(world.uid(0)).stop is StopIntent.KILL
    world.end(0, KILLED)
    assert not world.preempt(world.uid(0)).jobs
    assert world.states() == [KILLED]
    world = single()
    assert world.preempt(world.uid(0)).stop
    assert not world.preempt(world.uid(0), for_job="/bob/other").stop
    assert "/bob/urgent" in world.attempt(world.uid(0)).stop_reason


def test_what_makes_room_can_still_be_terminated() -> None:
    world = single()
    world.preempt(world.uid(0))
    world.terminate("enough")
    assert world.attempt(world.uid(0)).stop is StopIntent.KILL
    world.end(0, KILLED)
    assert world.states() == [KILLED]
    assert world.attempt(world.uid(0)).state is KILLED


def test_what_makes_room_can_still_run_out_of_time() -> None:
    world = single(timeout=timedelta(seconds=10))
    world.preempt(world.uid(0))
    effects = world.pass_time(10)
    assert list(effects.stop) == [("w1", world.uid(0))]
    assert world.attempt(world.uid(0)).stop is StopIntent.TIMEOUT
    assert not world.preempt(world.uid(0)).stop
    assert world.attempt(world.uid(0)).stop is StopIntent.TIMEOUT
    world.end(0, KILLED)
    assert (world.states(), world.job_state()) == ([FAILED], JobState.FAILED)
    assert world.task(0).preemptions == 0


def test_what_makes_room_is_still_what_it_was_after_a_restart() -> None:
    world = single()
    world.preempt(world.uid(0))
    world = world.restored()
    assert world.attempt(world.uid(0)).stop is StopIntent.PREEMPT
    world.end(0, KILLED)
    assert (world.task(0).state, world.task(0).preemptions) == (PENDING, 1)


def test_an_attempt_that_nobody_knows_is_a_bug() -> None:
    with pytest.raises(Internal, match="no-such-attempt"):
        single().preempt("no-such-attempt")


# --- gangs -----------------------------------------------------------------------------------


def test_a_gang_makes_room_as_a_whole() -> None:
    world = gang()
    with pytest.raises(Internal, match="in part"):
        world.preempt(*uids(world)[:2])


def test_a_gang_is_placed_anew_when_all_its_members_are_back() -> None:
    world = gang()
    world.preempt(*uids(world))
    for index, reported in ((1, KILLED), (0, SUCCEEDED)):
        world.end(index, reported)
        assert not world.shown().classes
        invariants.check(world.state)
    world.end(2, FAILED)
    (shown,) = world.shown().classes
    assert shown.tasks == 3
    assert world.states() == [PENDING] * 3
    assert [world.task(index).preemptions for index in range(3)] == [0, 1, 1]
    assert [world.task(index).failures for index in range(3)] == [0, 0, 0]
    assert world.attempt(world.uid(0)).state is SUCCEEDED, "what was observed stays"
    assert world.state.next_due() is None
    world.assign((0, "w1"), (1, "w1"), (2, "w1"))


def test_members_that_had_succeeded_run_again() -> None:
    world = gang()
    world.end(1, SUCCEEDED)
    world.preempt(world.uid(0), world.uid(2))
    assert world.states() == [RUNNING, PENDING, RUNNING]
    invariants.check(world.state)
    world.end(0, KILLED)
    world.end(2, KILLED)
    (shown,) = world.shown().classes
    assert shown.tasks == 3
    assert [world.task(index).preemptions for index in range(3)] == [1, 0, 1]


def test_a_gang_that_restarts_is_not_preempted_as_well() -> None:
    world = gang()
    world.end(0, FAILED)
    assert not world.preempt(world.uid(1), world.uid(2)).stop
    world.end(1, KILLED)
    world.end(2, KILLED)
    assert [world.task(index).preemptions for index in range(3)] == [0, 0, 0]
    assert not world.shown().classes, "the failed member waits"


def test_a_member_over_its_budget_ends_the_gang() -> None:
    world = gang(preemptions=0)
    world.preempt(*uids(world))
    world.end(0, KILLED)
    assert world.states() == [PREEMPTED, RUNNING, RUNNING]
    assert world.attempt(world.uid(1)).stop is StopIntent.KILL
    world.end(1, KILLED)
    world.apply(events.WorkerLost(world.now, world.attempt(world.uid(2)).worker_id, "one", "x", 0))
    assert world.states() == [PREEMPTED, KILLED, KILLED]
    assert world.job_state() is JobState.FAILED


def test_a_gang_whose_worker_is_lost_while_it_makes_room_is_placed_anew() -> None:
    world = gang()
    world.attach("w2")
    world.preempt(*uids(world))
    world.end(0, SUCCEEDED)
    world.lose("w1")
    assert [world.task(index).preemptions for index in range(3)] == [0, 1, 1]
    assert world.states() == [PENDING] * 3
    assert world.state.next_due() is None, "nobody is to blame"
    world.assign((0, "w2"), (1, "w2"), (2, "w2"))
    invariants.check(world.state)


@pytest.mark.parametrize("first", [StopIntent.PREEMPT, StopIntent.RESTART])
@pytest.mark.parametrize("then", [StopIntent.KILL, StopIntent.TIMEOUT])
def test_a_gang_that_is_to_be_placed_anew_can_still_be_ended(
    first: StopIntent, then: StopIntent
) -> None:
    world = gang(timeout=timedelta(seconds=10))
    if first is StopIntent.PREEMPT:
        world.preempt(*uids(world))
        world.end(0, KILLED)
    else:
        world.end(0, FAILED)
    if then is StopIntent.KILL:
        world.terminate()
    else:
        world.pass_time(10)
    assert [world.attempt(world.uid(index)).stop for index in (1, 2)] == [then] * 2
    assert not world.preempt(*uids(world)).stop
    world.end(1, KILLED)
    world.end(2, SUCCEEDED)
    end = KILLED if then is StopIntent.KILL else FAILED
    assert world.states() == [end, end, SUCCEEDED]
    assert world.job_state() is (JobState.KILLED if then is StopIntent.KILL else JobState.FAILED)
    invariants.check(world.state)
