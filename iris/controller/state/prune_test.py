"""Jobs that ended long ago are forgotten, children before their parents."""

from datetime import timedelta

import pytest

from iris.controller.state import invariants
from iris.controller.state.scenario import JOB, START, TASK, WORKER_TOTAL, Scenario, spec
from iris.model.errors import Internal
from iris.model.states import TaskState

CHILD, OTHER = f"{JOB}/child", "/alice/other"


def prunable(world: Scenario, *, limit: int = 100) -> list[str]:
    return list(world.state.ended.prunable(world.now, limit))


def test_jobs_that_ended_first_are_forgotten_first() -> None:
    world = Scenario()
    world.attach("w1")
    assert world.state.ended.next_prunable() is None
    names = [f"/alice/job{number}" for number in range(4)]
    for name in names:
        world.submit(spec(), name)
    for name in (names[2], names[0], names[3]):
        world.terminate("", name)
        world.now += timedelta(seconds=1)
    assert world.state.ended.next_prunable() == START
    ended = world.state.ended
    assert ended.prunable(START - timedelta(seconds=1), 9) == ()
    assert ended.prunable(START, 9) == (names[2],), "just then is long enough ago"
    assert ended.prunable(START + timedelta(seconds=1), 9) == (names[2], names[0])
    assert ended.prunable(world.now, 2) == (names[2], names[0])
    effects = world.prune(names[2], names[0])
    assert list(effects.pruned) == [names[2], names[0]]
    assert not effects.jobs
    assert prunable(world) == [names[3]]
    assert [job.job_id for job in world.state.jobs.newest_first()] == [names[3], names[1]]
    assert [job.job_id for job in world.state.jobs.newest_first(below=4)] == [names[1]]
    assert [job.job_id for job in world.state.jobs.newest_first(below=3)] == [names[1]]
    assert not list(world.state.jobs.newest_first(below=2))
    invariants.check(world.state)


def test_numbers_are_not_used_again() -> None:
    world = Scenario()
    world.submit(spec())
    world.terminate()
    world.prune(JOB)
    world = world.restored()
    world.submit(spec())
    assert world.job().record.number == 2


def test_children_are_forgotten_before_their_parents_or_with_them() -> None:
    world = Scenario()
    world.submit(spec())
    world.submit(spec(), CHILD)
    world.submit(spec(), f"{CHILD}/deep")
    world.submit(spec(outlives_parent=True), f"{JOB}/goes-on")
    world.terminate()
    assert prunable(world) == [f"{CHILD}/deep", CHILD]
    assert prunable(world, limit=1) == [f"{CHILD}/deep"]
    for wrong in ((JOB,), (CHILD,), (JOB, CHILD, f"{CHILD}/deep"), ("/alice/nobody",)):
        with pytest.raises(Internal):
            world.prune(*wrong)
    world.prune(*prunable(world))
    assert prunable(world) == []
    world.terminate("", f"{JOB}/goes-on")
    assert prunable(world) == [f"{JOB}/goes-on", JOB]
    world.prune(*prunable(world))
    assert len(world.state.jobs) == 0
    assert not world.state.jobs._children
    invariants.check(world.state)


def test_a_child_that_is_younger_keeps_its_parent() -> None:
    world = Scenario()
    world.submit(spec())
    world.terminate()
    world.submit(spec(outlives_parent=True), CHILD)
    assert world.state.ended.next_prunable() is None
    world.now += timedelta(seconds=10)
    world.terminate("", CHILD)
    assert world.state.ended.prunable(START, 9) == ()
    assert prunable(world) == [CHILD, JOB]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_a_restart_and_a_limit_change_nothing_of_the_order(limit: int) -> None:
    world = Scenario()
    for name in (JOB, CHILD, f"{CHILD}/deep", f"{JOB}/second", OTHER):
        world.submit(spec(), name)
    for name in (OTHER, f"{JOB}/second", f"{CHILD}/deep", CHILD, JOB):
        world.terminate("", name)
        world.now += timedelta(seconds=1)
    expected = [OTHER, f"{JOB}/second", f"{CHILD}/deep", CHILD, JOB]
    assert prunable(world) == prunable(world.restored()) == expected
    forgotten: list[str] = []
    while going := prunable(world, limit=limit):
        assert len(going) <= limit
        world.prune(*going)
        forgotten += going
        world = world.restored()
        invariants.check(world.state)
    assert forgotten == expected
    assert world.state.ended.next_prunable() is None


def test_a_parent_is_not_forgotten_before_its_own_time() -> None:
    world = Scenario()
    world.submit(spec())
    world.submit(spec(), CHILD)
    world.terminate("", CHILD)
    world.now += timedelta(seconds=10)
    world.terminate()
    assert world.state.ended.prunable(START + timedelta(seconds=9), 9) == (CHILD,)
    assert world.state.ended.prunable(START + timedelta(seconds=10), 9) == (CHILD, JOB)


def test_what_has_not_ended_is_not_forgotten() -> None:
    world = Scenario()
    world.submit(spec())
    with pytest.raises(Internal, match="/alice/job"):
        world.prune(JOB)


def test_with_a_job_go_its_tasks_attempts_and_counts() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(3, failures=1))
    world.assign((0, "w1"), (2, "w1"))
    first = world.uid(0)
    world.end(0, TaskState.FAILED)
    world.pass_time(100)
    world.assign((0, "w1"))
    second, third = world.uid(0), world.uid(2)
    world.end(0, TaskState.FAILED)
    world.end(2, TaskState.KILLED)
    effects = world.prune(JOB)
    assert set(effects.pruned_attempts) == {first, second, third}
    assert set(effects.pruned_tasks) == {(JOB, 0), (JOB, 1), (JOB, 2)}
    assert all(world.state.jobs.attempt(uid) is None for uid in (first, second, third))
    assert not any(world.state.jobs.counts.values())
    assert not list(world.state.jobs.waiting.known_classes())
    invariants.check(world.state)


def test_a_delayed_retry_of_a_forgotten_job_is_not_due() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(failures=1))
    world.assign((0, "w1"))
    world.end(0, TaskState.FAILED)
    world.terminate()
    world.prune(JOB)
    world.submit(spec(), OTHER)
    assert world.state.next_due() is None
    assert not world.pass_time(1000).jobs


def test_room_of_a_forgotten_jobs_attempt_comes_back_with_its_worker() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(preemptions=0))
    world.assign((0, "w1"))
    world.run(0)
    old = world.uid(0)
    world.lose("w1")
    world.attach("w1", running=(old,))
    world.prune(JOB)
    (view,) = world.shown().workers
    assert (view.free, view.releasing) == (WORKER_TOTAL - TASK, TASK)
    assert [one.stopping for one in world.shown().work.on(view.worker_id)] == [True]
    world.lose("w1")
    world.attach("w1")
    assert world.free("w1") == WORKER_TOTAL
    assert not world.shown().usage
