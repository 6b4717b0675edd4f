"""What workers see and how they come and go: one story per test."""

import pytest

from iris.controller.state import events, invariants
from iris.controller.state.scenario import TASK, WORKER_TOTAL, Scenario, spec
from iris.model.ids import AttemptUid, SliceId, WorkerId
from iris.model.states import JobState, TaskState

PENDING, ASSIGNED, BUILDING, RUNNING = (
    TaskState.PENDING,
    TaskState.ASSIGNED,
    TaskState.BUILDING,
    TaskState.RUNNING,
)
SUCCEEDED, FAILED, KILLED = TaskState.SUCCEEDED, TaskState.FAILED, TaskState.KILLED
WORKER_FAILED = TaskState.WORKER_FAILED


@pytest.fixture
def world() -> Scenario:
    world = Scenario()
    world.attach("w1")
    world.attach("w2")
    return world


# --- observations ----------------------------------------------------------------------------


def test_a_repeated_end_changes_nothing_and_is_acknowledged_again(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.end(0, SUCCEEDED)
    record = world.job().record
    effects = world.end(0, SUCCEEDED)
    assert list(effects.acknowledge) == [("w1", world.uid(0))]
    assert not effects.jobs
    assert not effects.attempts
    assert world.job().record == record
    assert world.free("w1") == WORKER_TOTAL


def test_an_end_is_not_overwritten_by_another(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.end(0, SUCCEEDED)
    world.end(0, FAILED)
    assert world.attempt(world.uid(0)).state is SUCCEEDED
    assert world.job_state() is JobState.SUCCEEDED


def test_an_older_observation_that_comes_late_changes_nothing(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.run(0)
    assert not world.observe(world.uid(0), BUILDING).jobs
    assert world.states() == [RUNNING]


@pytest.mark.parametrize("state", [BUILDING, RUNNING, SUCCEEDED, FAILED, KILLED])
def test_attempts_that_nobody_knows_are_stopped_or_forgotten(
    world: Scenario, state: TaskState
) -> None:
    effects = world.observe("never-heard-of", state, worker="w1")
    told, other = (
        (effects.acknowledge, effects.stop)
        if state.is_terminal
        else (effects.stop, effects.acknowledge)
    )
    assert list(told) == [("w1", "never-heard-of")]
    assert not other


@pytest.mark.parametrize(("worker", "incarnation"), [("w2", "one"), ("w1", "two")])
def test_an_observation_from_another_process_is_stale(
    world: Scenario, worker: str, incarnation: str
) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    effects = world.observe(world.uid(0), SUCCEEDED, worker=worker, incarnation=incarnation)
    assert list(effects.acknowledge) == [(worker, world.uid(0))]
    assert world.states() == [ASSIGNED]


def test_usage_alone_is_no_news(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    uid, worker = world.uid(0), WorkerId("w1")

    def news(state: TaskState, ports: tuple[tuple[str, int], ...] = ()) -> bool:
        return world.state.is_news(worker, "one", events.Observation(uid, state, ports=ports))

    assert news(RUNNING)
    world.run(0)
    assert not news(RUNNING)
    same = events.Observation(uid, RUNNING)
    assert world.state.is_news(worker, "another", same), "that process has to stop it"
    assert world.state.is_news(WorkerId("w2"), "one", same)
    assert news(RUNNING, (("http", 80),))
    assert news(SUCCEEDED)
    world.end(0, SUCCEEDED)
    assert news(SUCCEEDED), "it has to be acknowledged again"
    unknown = events.Observation(AttemptUid("unknown"), RUNNING)
    assert world.state.is_news(worker, "one", unknown)


# --- workers ---------------------------------------------------------------------------------


def test_a_stream_that_breaks_costs_nothing(world: Scenario) -> None:
    world.submit(spec(2))
    world.assign((0, "w1"))
    world.run(0)
    world.detach("w1")
    assert world.states()[0] is RUNNING
    worker = world.state.fleet.get(WorkerId("w1"))
    assert worker is not None
    (view,) = (one for one in world.state.fleet.views() if one.worker_id == "w1")
    assert (view.accepting, view.not_accepting) == (False, "silent")
    world.attach("w1", running=(world.uid(0),))
    assert not world.state.fleet.refusal(worker)
    assert world.states()[0] is RUNNING
    assert world.free("w1") == WORKER_TOTAL - TASK


def test_an_old_streams_end_does_not_disconnect_the_new_process(world: Scenario) -> None:
    world.attach("w1", incarnation="two")
    world.detach("w1", incarnation="one")
    world.lose("w1", incarnation="one")
    worker = world.state.fleet.get(WorkerId("w1"))
    assert worker is not None
    assert worker.connected


def test_a_new_process_under_the_same_worker_id_has_nothing_of_the_old_one(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.run(0)
    old = world.uid(0)
    world.attach("w1", incarnation="two", running=(old,))
    assert world.attempt(old).state is WORKER_FAILED
    assert "started anew" in world.attempt(old).error
    assert not world.attempt(old).logs_complete
    assert world.states() == [PENDING]
    assert world.free("w1") == WORKER_TOTAL


def test_an_attempt_that_never_arrived_is_sent_again(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.detach("w1")
    world.attach("w1")
    assert world.states() == [ASSIGNED]
    assert world.state.is_wanted(world.attempt(world.uid(0)))


def test_an_attempt_that_never_arrived_and_was_terminated_is_over(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.detach("w1")
    world.terminate()
    assert world.states() == [ASSIGNED]
    world.attach("w1")
    assert world.states() == [KILLED]
    assert world.attempt(world.uid(0)).error == (
        "Terminated. (it was to stop before it reached its worker)"
    ), "it never wrote a line, so none is missing"
    assert world.free("w1") == WORKER_TOTAL


def test_an_attempt_that_ran_and_is_named_no_more_is_lost(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.run(0)
    world.detach("w1")
    world.attach("w1")
    assert world.states() == [PENDING]
    assert world.task(0).preemptions == 1
    assert world.free("w1") == WORKER_TOTAL


def test_what_was_given_up_occupies_its_place_until_its_worker_has_stopped_it(
    world: Scenario,
) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.run(0)
    old = world.uid(0)
    world.lose("w1")
    assert world.states() == [PENDING]
    world.attach("w1", running=(old,))
    assert not world.state.is_wanted(world.attempt(old))
    assert world.free("w1") == WORKER_TOTAL - TASK
    world.observe(old, SUCCEEDED, incarnation="another")
    assert world.attempt(old).given_up, "another process knows nothing about it"
    assert world.free("w1") == WORKER_TOTAL - TASK
    effects = world.observe(old, SUCCEEDED)
    assert list(effects.acknowledge) == [("w1", old)]
    assert world.attempt(old).state is WORKER_FAILED
    assert world.free("w1") == WORKER_TOTAL


def test_what_was_given_up_occupies_its_place_once_however_often_it_is_named(
    world: Scenario,
) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.run(0)
    old = world.uid(0)
    world.lose("w1")
    for _ in range(2):
        world.attach("w1", running=(old,))
        assert world.free("w1") == WORKER_TOTAL - TASK
        invariants.check(world.state)
        world.detach("w1")


def test_a_worker_that_is_in_another_slice_now_has_nothing_of_the_old_one(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.run(0)
    world.attach("w1", slice_id="s2", running=(world.uid(0),))
    assert world.attempt(world.uid(0)).state is WORKER_FAILED
    assert set(world.state.fleet.occupancy()) == {"s1", "s2"}
    assert world.state.fleet.in_slice(SliceId("s1")) == ("w2",)
    invariants.check(world.state)


def test_what_was_given_up_and_is_named_no_more_occupies_nothing(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    world.run(0)
    old = world.uid(0)
    world.lose("w1")
    world.attach("w1", running=(old,))
    world.detach("w1")
    assert world.free("w1") == WORKER_TOTAL - TASK
    world.attach("w1")
    assert world.free("w1") == WORKER_TOTAL


def test_a_slice_that_is_gone_takes_its_workers_along(world: Scenario) -> None:
    world.submit(spec(2))
    world.assign((0, "w1"), (1, "w2"))
    effects = world.apply(events.SliceGone(world.now, SliceId("s1"), "preempted", 0.5))
    assert world.states() == [PENDING, PENDING]
    assert set(effects.workers) == {"w1", "w2"}
    assert len(world.state.fleet) == 0
    assert not world.state.fleet.slices
    first, second = world.task(0).not_before, world.task(1).not_before
    assert first is not None
    assert second is not None
    assert first != second, "what was lost together is not retried together"


def test_a_draining_slice_takes_no_work_also_on_workers_that_come_later(world: Scenario) -> None:
    world.apply(events.SliceDraining(world.now, SliceId("s1")))
    world.attach("w3")
    for name in ("w1", "w3"):
        worker = world.state.fleet.get(WorkerId(name))
        assert worker is not None
        assert world.state.fleet.refusal(worker) == "draining"


def test_what_has_told_its_end_occupies_nothing_though_its_worker_still_names_it(
    world: Scenario,
) -> None:
    """A worker names an attempt as running until its last log lines are there."""
    world.submit(spec())
    world.assign((0, "w1"))
    world.run(0)
    told = world.uid(0)
    world.end(0, FAILED)
    world.detach("w1")
    world.attach("w1", running=(told,))
    assert world.free("w1") == WORKER_TOTAL
    assert all(view.accepting for view in world.state.fleet.views())


def test_what_was_given_up_still_occupies_its_place_after_a_restart(world: Scenario) -> None:
    world.submit(spec())
    world.assign((0, "w1"))
    old = world.uid(0)
    world.lose("w1")
    world = world.restored()
    world.attach("w1", running=(old,))
    assert world.free("w1") == WORKER_TOTAL - TASK
    world.observe(old, KILLED)
    assert not world.attempt(old).given_up
    assert world.free("w1") == WORKER_TOTAL
    world.attach("w1", running=(old,))
    assert world.free("w1") == WORKER_TOTAL
