"""Jobs below jobs: they end with their parent, unless they outlive it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from iris.controller.state import invariants
from iris.controller.state.records import StopIntent
from iris.controller.state.scenario import JOB, Scenario, spec
from iris.model.errors import FailedPrecondition, NotFound
from iris.model.job import ExistingJobPolicy
from iris.model.states import JobState, TaskState

CHILD, GRANDCHILD, SIBLING = f"{JOB}/child", f"{JOB}/child/grandchild", f"{JOB}/sibling"
KILLED, RUNNING, SUCCEEDED = TaskState.KILLED, TaskState.RUNNING, TaskState.SUCCEEDED


@pytest.fixture
def world() -> Scenario:
    """A running parent, its running child, and that one's child, which waits."""
    world = Scenario()
    world.attach("w1")
    world.submit(spec())
    world.submit(spec(2), CHILD)
    world.submit(spec(), GRANDCHILD)
    world.assign((0, "w1"))
    world.run(0)
    world.assign((0, "w1"), job_id=CHILD)
    world.run(0, job_id=CHILD)
    return world


def test_a_parent_that_is_terminated_takes_all_below_it_along_at_once(world: Scenario) -> None:
    effects = world.terminate("enough")
    assert set(effects.jobs) == {JOB, CHILD, GRANDCHILD}
    assert set(effects.stop) == {("w1", world.uid(0)), ("w1", world.uid(0, CHILD))}
    assert world.states(CHILD) == [RUNNING, KILLED]
    assert world.job_state(GRANDCHILD) is JobState.KILLED
    assert JOB in world.job(CHILD).record.error
    assert "enough" in world.job(CHILD).record.error
    assert CHILD in world.job(GRANDCHILD).record.error
    invariants.check(world.state)
    world.end(0, KILLED)
    assert world.job_state(CHILD) is JobState.RUNNING, "its end is not known yet"
    world.end(0, KILLED, CHILD)
    assert world.job_state(CHILD) is JobState.KILLED


@pytest.mark.parametrize("end", [SUCCEEDED, TaskState.FAILED])
def test_a_parent_that_ends_by_itself_ends_its_children(world: Scenario, end: TaskState) -> None:
    effects = world.end(0, end)
    assert list(effects.stop) == [("w1", world.uid(0, CHILD))]
    assert world.states(CHILD) == [RUNNING, KILLED]
    assert world.job_state(GRANDCHILD) is JobState.KILLED
    assert f"Its parent {JOB}" in world.job(CHILD).record.error
    invariants.check(world.state)


def time_out(world: Scenario) -> None:
    world.pass_time(60)
    world.end(0, KILLED)


def preempt(world: Scenario) -> None:
    world.preempt(world.uid(0))
    world.end(0, KILLED)


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (lambda world: world.lose("w2"), JobState.FAILED),
        (time_out, JobState.FAILED),
        (preempt, JobState.FAILED),
        (lambda world: world.end(0, SUCCEEDED), JobState.SUCCEEDED),
    ],
)
def test_however_a_parent_ends(end: Callable[[Scenario], None], state: JobState) -> None:
    world = Scenario()
    world.attach("w1")
    world.attach("w2")
    world.submit(spec(preemptions=0, timeout=timedelta(seconds=60)))
    world.submit(spec(2), CHILD)
    world.submit(spec(), GRANDCHILD)
    world.assign((0, "w2"))
    world.assign((0, "w1"), job_id=CHILD)
    end(world)
    assert world.job_state() is state
    assert world.attempt(world.uid(0, CHILD)).stop is StopIntent.KILL
    assert world.states(CHILD)[1] is KILLED
    assert world.job_state(GRANDCHILD) is JobState.KILLED
    invariants.check(world.state)


def test_what_a_parent_survives_does_not_touch_its_children() -> None:
    world = Scenario()
    world.attach("w1")
    world.attach("w2")
    world.submit(spec(2, failures=1, max_task_failures=1))
    world.submit(spec(), CHILD)
    world.assign((0, "w2"), (1, "w1"))
    world.assign((0, "w1"), job_id=CHILD)
    world.end(0, TaskState.FAILED)
    world.pass_time(100)
    world.assign((0, "w2"))
    world.preempt(world.uid(0))
    world.end(0, KILLED)
    world.assign((0, "w2"))
    world.lose("w2")
    world.pass_time(1000)
    world.assign((0, "w1"))
    world.end(0, TaskState.FAILED)
    assert world.states()[0] is TaskState.FAILED, "it may"
    assert world.attempt(world.uid(0, CHILD)).stop is None
    assert not world.job(CHILD).is_ending


def test_a_child_that_is_being_stopped_goes_on_with_that(world: Scenario) -> None:
    world.terminate("first", CHILD)
    effects = world.terminate("second")
    assert list(effects.stop) == [("w1", world.uid(0))], "the child was told before"
    assert "first" in world.job(CHILD).record.error
    assert "first" in world.attempt(world.uid(0, CHILD)).stop_reason
    world.end(0, KILLED)
    assert world.job_state() is JobState.KILLED
    assert world.job_state(CHILD) is JobState.RUNNING
    world.end(0, KILLED, CHILD)
    assert world.job_state(CHILD) is JobState.KILLED


def test_a_child_that_makes_room_ends_with_its_parent_nevertheless(world: Scenario) -> None:
    world.preempt(world.uid(0, CHILD))
    world.terminate()
    assert world.attempt(world.uid(0, CHILD)).stop is StopIntent.KILL
    world.end(0, KILLED, CHILD)
    assert world.states(CHILD) == [KILLED, KILLED]


def test_a_child_that_ends_leaves_its_parent_alone(world: Scenario) -> None:
    world.terminate("", CHILD)
    assert world.job_state() is JobState.RUNNING
    assert world.job_state(GRANDCHILD) is JobState.KILLED


def test_what_outlives_its_parent_goes_on_with_all_below_it(world: Scenario) -> None:
    world.submit(spec(outlives_parent=True), SIBLING)
    world.submit(spec(), f"{SIBLING}/below")
    world.terminate()
    world.end(0, KILLED)
    assert world.job_state() is JobState.KILLED
    assert world.job_state(SIBLING) is JobState.PENDING
    assert world.job_state(f"{SIBLING}/below") is JobState.PENDING
    world.terminate("", SIBLING)
    assert world.job_state(f"{SIBLING}/below") is JobState.KILLED
    invariants.check(world.state)


def test_a_timeout_ends_children_too() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(scheduling_timeout=timedelta(seconds=5)))
    world.submit(spec(), CHILD)
    world.pass_time(5)
    assert world.job_state() is JobState.UNSCHEDULABLE
    assert world.job_state(CHILD) is JobState.KILLED


def test_a_child_needs_a_parent(world: Scenario) -> None:
    number = world.state.jobs.next_number
    with pytest.raises(NotFound, match="/alice/other"):
        world.submit(spec(), "/alice/other/child")
    with pytest.raises(NotFound, match="/alice/other"):
        world.submit(spec(outlives_parent=True), "/alice/other/child")
    assert world.state.jobs.next_number == number


def test_a_parent_that_ends_or_has_ended_gets_no_children_but_those_that_outlive_it(
    world: Scenario,
) -> None:
    world.terminate()
    with pytest.raises(FailedPrecondition, match="is being ended"):
        world.submit(spec(), SIBLING)
    world.end(0, KILLED)
    with pytest.raises(FailedPrecondition, match="has ended"):
        world.submit(spec(), SIBLING)
    assert world.submit(spec(outlives_parent=True), SIBLING).submitted
    invariants.check(world.state)


def test_a_parent_that_has_succeeded_gets_no_children_either(world: Scenario) -> None:
    world.end(0, SUCCEEDED)
    with pytest.raises(FailedPrecondition, match="has ended"):
        world.submit(spec(), SIBLING)


def test_a_name_that_is_kept_asks_for_no_parent_that_goes_on(world: Scenario) -> None:
    world.submit(spec(outlives_parent=True), SIBLING)
    world.terminate()
    effects = world.submit(spec(), SIBLING, policy=ExistingJobPolicy.KEEP)
    assert not effects.submitted


def test_what_takes_a_name_over_forgets_what_has_ended_below_it(world: Scenario) -> None:
    world.submit(spec(outlives_parent=True), f"{CHILD}/goes-on")
    world.submit(spec(outlives_parent=True), SIBLING)
    world.terminate()
    world.end(0, KILLED)
    world.end(0, KILLED, CHILD)
    effects = world.submit(spec(), policy=ExistingJobPolicy.REPLACE)
    # The child has ended, but what goes on below it is still its own.
    assert set(effects.pruned) == {JOB, GRANDCHILD}
    assert {job.job_id for job in world.state.jobs.newest_first()} == {
        JOB,
        CHILD,
        f"{CHILD}/goes-on",
        SIBLING,
    }
    invariants.check(world.state)
    world.terminate()
    assert world.job_state(SIBLING) is JobState.PENDING


def test_children_are_known_again_after_a_restart(world: Scenario) -> None:
    world = world.restored()
    effects = world.terminate()
    assert set(effects.jobs) == {JOB, CHILD, GRANDCHILD}
