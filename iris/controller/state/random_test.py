"""Thousands of random events; after each, everything that always holds is checked.

The seed is printed, and with the same seed the same happens again.
"""

import os
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest

from iris.controller.state import events
from iris.controller.state.checked_world_fixture import RETRY
from iris.controller.state.job import Job
from iris.controller.state.machine import ControllerState
from iris.controller.state.random_world_fixture import RandomWorld
from iris.controller.state.records import AttemptRecord, JobRecord
from iris.controller.state.scenario import START, WORKER_TOTAL
from iris.model.states import TaskState

SEED = int(os.environ.get("TEST_RANDOM_SEED", "0"))
END_OF_TIME = START + timedelta(days=1_000)


def world_of(seed: int, steps: int) -> RandomWorld:
    print(f"seed {seed} (TEST_RANDOM_SEED={SEED})")
    run = RandomWorld(seed)
    for _ in range(steps):
        run.step()
    return run


def records(state: ControllerState) -> tuple[object, ...]:
    """Everything that is kept, without what does not have to survive."""

    def plain(record: JobRecord) -> JobRecord:
        return replace(record, version=0)

    jobs = sorted(state.jobs.newest_first(), key=lambda job: job.record.number)
    return (
        [plain(job.record) for job in jobs],
        [list(job.tasks) for job in jobs],
        [sorted(job.held) for job in jobs],
        [[list(state.jobs.attempts_of(job, task.index)) for task in job.tasks] for job in jobs],
        state.jobs.next_number,
        [list(job.ready) for job in jobs],
        {worker.record.worker_id: (worker.record, worker.free) for worker in state.fleet},
        state.fleet.usage,
    )


@pytest.mark.parametrize("round_", range(12))
def test_what_always_holds_holds(round_: int) -> None:
    run = world_of(SEED * 1000 + round_, 400)
    run.finish()
    assert run.ended, "nothing happened"
    for worker in run.state.fleet:
        assert worker.free == WORKER_TOTAL, "all has ended, so all is free"
        assert not run.state.fleet.refusal(worker)
    while going := run.state.ended.prunable(run.world.now, 3):
        run.apply(events.JobsPruned(run.world.now, going))
        run.check()
    assert not len(run.state.jobs), "all has ended, so all can be forgotten"
    assert not any(run.state.jobs.counts.values())
    assert not run.state.fleet.usage


def test_everything_happens() -> None:
    kinds = {kind.__name__ for kind in get_args(events.Event)}
    ends = {state for state in TaskState if state.is_terminal}
    for round_ in range(50):  # four are enough for most seeds
        run = world_of(SEED * 1000 + 300 + round_, 400)
        kinds -= run.happened.keys()
        ends -= {*run.terminal.values()}
        if not kinds and not ends:
            break
    assert not kinds
    assert not ends


@pytest.mark.parametrize("round_", range(4))
def test_the_same_events_give_the_same_state(round_: int) -> None:
    run = world_of(SEED * 1000 + 100 + round_, 300)
    again = ControllerState(RETRY)
    for event in run.world.log:
        again.apply(event)
    assert records(again) == records(run.state)


def derived(state: ControllerState) -> dict[str, object]:
    """What follows from the records, and that others are shown. The order in which retries are
    served does not have to survive.
    """
    jobs = list(state.jobs.newest_first())
    active = {attempt.uid for job in jobs for attempt in attempts_of(state, job)}
    return {
        "counts": state.jobs.counts,
        "active": state.jobs.active,
        "ready": [sorted(job.ready) for job in jobs],
        "classes": {
            (one.band, one.user, one.request): (
                one.first,
                one.tasks,
                [
                    (job.job_id, job.lasts, job.ends_by, {task.task_id: task for task in job.tasks})
                    for job in one.jobs
                ],
            )
            for one in state.jobs.waiting.classes()
        },
        "endpoints": state.published.keys(),
        "next_due": state.next_due(),
        "prunable": state.ended.prunable(END_OF_TIME, 1_000),
        "next_prunable": state.ended.next_prunable(),
        "children": [{child.job_id for child in state.jobs.children_of(j.job_id)} for j in jobs],
        "places": {
            (worker.record.worker_id, uid): place
            for worker in state.fleet
            for uid, place in worker.attempts.items()
            if uid in active
        },
    }


def attempts_of(state: ControllerState, job: Job) -> list[AttemptRecord]:
    """Those that have not ended."""
    found = (state.jobs.attempt(uid) for uid in job.all_attempt_uids())
    return [attempt for attempt in found if attempt is not None and attempt.state.is_active]


@pytest.mark.parametrize("round_", range(6))
def test_a_controller_that_starts_anew_is_where_it_was_and_goes_on(round_: int) -> None:
    run = world_of(SEED * 1000 + 200 + round_, 0)
    for _ in range(4):
        for _ in range(80):
            run.step()
        old = run.state
        run.restart()
        assert records(run.state)[:5] == records(old)[:5]
        for after in run.state.jobs.newest_first():
            before = old.jobs.get(after.job_id)
            assert before is not None
            assert after.record.version > before.record.version
        # Whether a delay was over is not stored; it is found out again as soon as time passes.
        run.apply(events.TimePassed(run.world.now))
        old.apply(events.TimePassed(run.world.now))
        assert derived(run.state) == derived(old)
        run.check()
    run.finish()
