"""A job may go on although some of its tasks have failed for good."""

import pytest

from iris.controller.state import invariants
from iris.controller.state.retry import RetryPolicy
from iris.controller.state.scenario import Scenario, spec
from iris.model.states import JobState, TaskState

PENDING, ASSIGNED, SUCCEEDED = TaskState.PENDING, TaskState.ASSIGNED, TaskState.SUCCEEDED
FAILED, KILLED, WORKER_FAILED = TaskState.FAILED, TaskState.KILLED, TaskState.WORKER_FAILED


def running(replicas: int, allowed: int, retry: RetryPolicy | None = None) -> Scenario:
    """A job whose tasks have been placed, as far as there is room."""
    world = Scenario(retry)
    world.attach("w1")
    world.submit(spec(replicas, max_task_failures=allowed, preemptions=0))
    world.assign(*((index, "w1") for index in range(min(4, replicas))))
    return world


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_so_many_may_fail_and_one_more_ends_the_job(allowed: int) -> None:
    world = running(4, allowed)
    for index in range(allowed):
        world.end(index, FAILED)
        assert world.states()[allowed:] == [ASSIGNED] * (4 - allowed)
        assert not world.job().record.error
        invariants.check(world.state)
    effects = world.end(allowed, FAILED, exit_code=3)
    assert len(effects.stop) == 3 - allowed
    for index in range(allowed + 1, 4):
        world.end(index, KILLED)
    assert world.job_state() is JobState.FAILED
    assert f"/alice/job/{allowed} failed for good" in world.job().record.error
    assert "exit code 3" in world.job().record.error


def test_a_job_succeeds_if_all_others_do() -> None:
    world = running(4, 2)
    world.end(0, FAILED)
    world.lose("w1")
    assert world.job_state() is JobState.FAILED, "four have failed"
    world = running(3, 2)
    world.end(0, FAILED)
    world.end(2, SUCCEEDED)
    world.lose("w1")
    assert world.states() == [FAILED, WORKER_FAILED, SUCCEEDED]
    assert world.job_state() is JobState.SUCCEEDED
    assert world.job().record.error == ""


def test_what_waits_is_run_although_others_have_failed() -> None:
    world = running(5, 1)
    world.end(0, FAILED)
    assert list(world.job().ready) == [4]


def test_a_termination_is_none_of_the_failures() -> None:
    world = running(4, 2)
    world.end(0, FAILED)
    world.terminate()
    for index in (1, 2, 3):
        world.end(index, KILLED)
    assert world.job_state() is JobState.KILLED


def test_used_up_retries_are_failures_too() -> None:
    world = Scenario(RetryPolicy(job_minimum=1, job_factor=0))
    world.attach("w1")
    world.submit(spec(3, failures=9, max_task_failures=1))
    world.assign((0, "w1"), (1, "w1"), (2, "w1"))
    for index, state in ((0, PENDING), (1, FAILED)):
        world.end(index, FAILED)
        assert world.states()[index] is state
    world.end(2, FAILED)
    assert world.states() == [KILLED, FAILED, FAILED]
    assert world.job_state() is JobState.FAILED
