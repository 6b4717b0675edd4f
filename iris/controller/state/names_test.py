"""What happens when a job is submitted under a name that is taken."""

from dataclasses import replace

import pytest

from iris.controller.state import invariants
from iris.controller.state.effects import Effects
from iris.controller.state.scenario import JOB, Scenario, spec
from iris.model.errors import AlreadyExists, FailedPrecondition, NotFound
from iris.model.ids import AttemptUid
from iris.model.job import ExistingJobPolicy
from iris.model.states import JobState, TaskState

CHILD = f"{JOB}/child"
ERROR, KEEP, REPLACE = ExistingJobPolicy.ERROR, ExistingJobPolicy.KEEP, ExistingJobPolicy.REPLACE


@pytest.fixture
def world() -> Scenario:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(), request_id="first")
    return world


def end(world: Scenario) -> AttemptUid:
    """The job runs, and succeeds."""
    world.assign((0, "w1"))
    uid = world.uid(0)
    world.end(0, TaskState.SUCCEEDED)
    return uid


@pytest.mark.parametrize("policy", ExistingJobPolicy)
@pytest.mark.parametrize("ended", [False, True])
def test_the_same_request_twice_is_one_job(
    world: Scenario, policy: ExistingJobPolicy, ended: bool
) -> None:
    if ended:
        end(world)
    record = world.job().record
    effects = world.submit(spec(7), policy=policy, request_id="first")
    assert not effects.submitted
    assert not effects.pruned
    assert world.job().record == record


def test_requests_without_a_name_are_not_the_same_one() -> None:
    world = Scenario()
    world.submit(spec())
    with pytest.raises(AlreadyExists):
        world.submit(spec(2))


@pytest.mark.parametrize("ended", [False, True])
def test_error_takes_the_same_specification_for_the_same_job(world: Scenario, ended: bool) -> None:
    if ended:
        end(world)
    record = world.job().record
    assert not world.submit(spec(), policy=ERROR, request_id="second").submitted
    assert world.job().record == record
    with pytest.raises(AlreadyExists, match="/alice/job"):
        world.submit(spec(2), policy=ERROR)
    assert world.job().record == record


def test_keep_keeps_whatever_it_is_while_it_goes_on(world: Scenario) -> None:
    assert not world.submit(spec(2), policy=KEEP).submitted
    assert world.job().record.spec == spec()


@pytest.mark.parametrize("policy", [KEEP, REPLACE])
def test_what_has_ended_is_replaced(world: Scenario, policy: ExistingJobPolicy) -> None:
    uid = end(world)
    effects = world.submit(spec(2), policy=policy, request_id="second")
    assert list(effects.submitted) == list(effects.pruned) == list(effects.jobs) == [JOB]
    assert list(effects.pruned_attempts) == [uid]
    assert list(effects.pruned_tasks) == [(JOB, 0)]
    record = world.job().record
    assert (record.number, record.request_id, record.state) == (2, "second", JobState.PENDING)
    assert world.states() == [TaskState.PENDING] * 2
    assert world.state.jobs.attempt(uid) is None
    assert [job.record.number for job in world.state.jobs.newest_first()] == [2]
    invariants.check(world.state)


def test_the_same_specification_replaces_too(world: Scenario) -> None:
    end(world)
    world.submit(spec(), policy=REPLACE)
    assert (world.job().record.number, world.job_state()) == (2, JobState.PENDING)


def test_replace_takes_only_what_has_ended(world: Scenario) -> None:
    world.assign((0, "w1"))
    for _ in range(2):
        with pytest.raises(FailedPrecondition, match="has not ended"):
            world.submit(spec(2), policy=REPLACE)
        world.terminate()  # it has to stop before it has ended
    world.end(0, TaskState.KILLED)
    assert world.submit(spec(2), policy=REPLACE).submitted


@pytest.mark.parametrize("policy", ExistingJobPolicy)
def test_nothing_is_half_done_after_a_refusal(policy: ExistingJobPolicy) -> None:
    """The name is free to take, or taken; what speaks against it is found out before anything is
    forgotten.
    """
    world = Scenario()
    world.submit(spec())
    world.submit(spec(), CHILD)
    world.terminate()
    before, number = world.job(CHILD).record, world.state.jobs.next_number
    for name in (CHILD, f"{JOB}/new"):
        refused = AlreadyExists if (policy, name) == (ERROR, CHILD) else FailedPrecondition
        with pytest.raises(refused):
            world.submit(spec(2), name, policy=policy)
    with pytest.raises(NotFound):
        world.submit(spec(2), "/alice/nobody/child", policy=policy)
    assert world.job(CHILD).record == before
    assert [job.job_id for job in world.state.jobs.newest_first()] == [CHILD, JOB]
    assert world.state.jobs.next_number == number
    invariants.check(world.state)


def test_the_effects_of_a_turn_name_only_what_is_there(world: Scenario) -> None:
    turn = Effects()
    turn.add(world.assign((0, "w1")))
    old = world.uid(0)
    turn.add(world.end(0, TaskState.SUCCEEDED))
    turn.add(world.submit(spec(2), policy=REPLACE))
    assert list(turn.pruned) == list(turn.jobs) == [JOB]
    assert list(turn.pruned_attempts) == [old]
    assert not turn.attempts
    assert not turn.tasks
    turn.add(world.assign((1, "w1")))
    assert list(turn.tasks) == [(JOB, 1)]
    assert list(turn.attempts) == [world.uid(1)]


def test_what_a_worker_still_has_of_a_forgotten_job(world: Scenario) -> None:
    """Its room is not given away before the worker says that it is gone."""
    world.assign((0, "w1"))
    world.run(0)
    old = world.uid(0)
    world.lose("w1")
    world.terminate()
    world.attach("w1", running=(old,))
    held = world.free("w1")
    world.submit(spec(), policy=REPLACE)
    assert world.state.jobs.attempt(old) is None
    assert world.free("w1") == held
    world.detach("w1")
    world.attach("w1", running=(old,))
    assert world.free("w1") == held
    assert world.shown().workers[0].accepting, "what it occupies is known, so the rest is free"
    invariants.check(world.state)
    effects = world.observe(old, TaskState.RUNNING, worker="w1")
    assert list(effects.stop) == [("w1", old)]
    effects = world.observe(old, TaskState.KILLED, worker="w1")
    assert list(effects.acknowledge) == [("w1", old)]
    assert effects.reschedule
    assert world.free("w1") != held
    invariants.check(world.state)


def test_a_worker_with_what_nobody_knows_takes_no_work_until_it_is_rid_of_it(
    world: Scenario,
) -> None:
    world.attach("w2", running=("unknown-1", "unknown-2"), ended=("unknown-3",))
    (view,) = (view for view in world.shown().workers if view.worker_id == "w2")
    assert (view.accepting, view.not_accepting) == (False, "clearing")
    for uid, over in (("unknown-1", False), ("unknown-3", False), ("unknown-2", True)):
        stale = world.observe(uid, TaskState.KILLED, worker="w2", incarnation="another")
        assert not stale.reschedule
        assert world.observe(uid, TaskState.KILLED, worker="w2").reschedule is over
    (view,) = (view for view in world.shown().workers if view.worker_id == "w2")
    assert view.accepting
    world.attach("w2", running=("unknown-4",))
    world.detach("w2")
    world.attach("w2")
    assert all(view.accepting for view in world.shown().workers)


def test_a_name_that_went_through_several_hands_in_one_turn(world: Scenario) -> None:
    """The store is told of the last alone, and to forget what there was before."""
    turn = Effects()
    for number in range(2, 4):
        turn.add(world.terminate())
        turn.add(world.submit(spec(number), policy=REPLACE))
    assert list(turn.submitted) == list(turn.pruned) == list(turn.jobs) == [JOB]
    assert not turn.tasks
    turn.add(world.terminate())
    turn.add(world.prune(JOB))
    assert list(turn.pruned) == [JOB]
    assert not turn.submitted
    assert not turn.jobs
    assert not turn.tasks


def test_a_restart_knows_numbers_and_requests(world: Scenario) -> None:
    end(world)
    world.submit(spec(2), policy=REPLACE, request_id="second")
    world.terminate()
    world.prune(JOB)
    world = world.restored()
    assert world.state.jobs.next_number == 3
    world.submit(spec(), request_id="third")
    assert world.job().record.number == 3
    again = world.restored()
    assert not again.submit(spec(9), policy=REPLACE, request_id="third").submitted
    assert replace(again.job().record, version=0) == replace(world.job().record, version=0)
