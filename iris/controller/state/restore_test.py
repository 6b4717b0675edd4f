"""What was stored is taken up again, or refused if it contradicts itself."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from iris.controller.state import invariants
from iris.controller.state.machine import ControllerState
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord, WorkerRecord
from iris.controller.state.scenario import JOB, START, TASK, WORKER_TOTAL, Scenario, spec
from iris.model.errors import Internal
from iris.model.ids import JobId, WorkerId
from iris.model.states import TaskState

OTHER = "/alice/other"


@pytest.fixture
def world() -> Scenario:
    """A job of which one task runs and one is delayed, and one that waits."""
    world = Scenario()
    world.attach("w1")
    world.submit(spec(3, failures=1))
    world.submit(spec(), OTHER)
    world.assign((0, "w1"), (1, "w1"))
    world.end(1, TaskState.FAILED)
    return world


def restored(
    world: Scenario,
    *,
    jobs: Iterable[JobRecord] | None = None,
    tasks: Mapping[JobId, list[TaskRecord]] | None = None,
    attempts: Iterable[AttemptRecord] | None = None,
    workers: Iterable[WorkerRecord] | None = None,
    next_number: int = 1,
) -> ControllerState:
    """From what the world has, but for what is handed in."""
    state = ControllerState()
    found = [world.job(), world.job(OTHER)]
    state.restore(
        [job.record for job in found] if jobs is None else jobs,
        {job.job_id: list(job.tasks.touched()) for job in found} if tasks is None else dict(tasks),
        [world.attempt(world.uid(index)) for index in (0, 1)] if attempts is None else attempts,
        [worker.record for worker in world.state.fleet] if workers is None else workers,
        START,
        next_number,
    )
    return state


def test_all_of_it_is_there_again_but_no_stream(world: Scenario) -> None:
    state = restored(world)
    invariants.check(state)
    (view,) = state.fleet.views()
    assert (view.accepting, view.not_accepting) == (False, "silent")
    assert view.free == WORKER_TOTAL - TASK
    assert state.next_due() == world.task(1).not_before
    assert state.jobs.active == 2


def test_a_member_that_had_succeeded_before_the_others_is_held_again() -> None:
    world = Scenario()
    world.attach("w1")
    world.submit(spec(2, gang=True, failures=1))
    world.assign((0, "w1"), (1, "w1"))
    world.run(0, 1)
    world.end(0, TaskState.SUCCEEDED)
    for end, state in (
        (TaskState.SUCCEEDED, TaskState.SUCCEEDED),
        (TaskState.FAILED, TaskState.PENDING),
    ):
        again = world.restored()
        assert again.job().held == {0}
        invariants.check(again.state)
        again.end(1, end)
        assert again.states() == [state] * 2


def test_versions_go_on_above_all_that_may_have_been_shown(world: Scenario) -> None:
    stored = world.job().record.version
    for _ in range(1_000):
        world.state.note_reason_changed(JOB)
    again = restored(world, jobs=[replace(world.job().record, version=stored)], tasks={})
    job = again.jobs.get(JOB)
    assert job is not None
    assert job.record.version > world.job().record.version


@pytest.mark.parametrize(("stored", "next_number"), [(1, 3), (3, 3), (17, 17)])
def test_numbers_go_on_after_the_last_that_was_ever_used(
    world: Scenario, stored: int, next_number: int
) -> None:
    assert restored(world, next_number=stored).jobs.next_number == next_number


def test_jobs_that_are_out_of_order(world: Scenario) -> None:
    records = [world.job(OTHER).record, world.job().record]
    with pytest.raises(Internal, match=f"{JOB} has number 1"):
        restored(world, jobs=records)
    same = [world.job().record, replace(world.job(OTHER).record, number=1)]
    with pytest.raises(Internal, match=f"{OTHER} has number 1"):
        restored(world, jobs=same)


def test_an_attempt_whose_worker_is_gone(world: Scenario) -> None:
    with pytest.raises(Internal, match="w1, which is gone"):
        restored(world, workers=[])
    others = [replace(worker.record, worker_id=WorkerId("w2")) for worker in world.state.fleet]
    with pytest.raises(Internal, match="w1, which is gone"):
        restored(world, workers=others)


def test_a_task_whose_delay_was_over_is_ready_as_soon_as_time_passes(world: Scenario) -> None:
    world.pass_time(100)
    assert list(world.job().ready) == [2, 1]
    again = world.restored()
    assert list(again.job().ready) == [2]
    due = again.state.next_due()
    assert due is not None
    assert due <= again.now
    again.pass_time(0)
    assert list(again.job().ready) == [2, 1]
