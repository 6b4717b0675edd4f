"""What always holds of a state, whatever happened to it.

For tests and simulations: it looks at everything.
"""

from collections import Counter

from iris.controller.state.jobs import Job
from iris.controller.state.machine import ControllerState
from iris.model.resources import Resources
from iris.model.states import TaskState, roll_up


def check(state: ControllerState) -> None:
    """Raises AssertionError naming the first thing that is wrong."""
    jobs = list(state.jobs.newest_first())
    everything = Counter(task.state for job in jobs for task in job.tasks)
    assert everything == {kind: count for kind, count in state.jobs.counts.items() if count}
    assert state.jobs.active == sum(not job.record.state.is_terminal for job in jobs)
    active = {uid for job in jobs for uid in _check_job(state, job)}
    on_workers = set()
    for worker in state.fleet:
        used = sum(worker.attempts.values(), Resources())
        name = worker.record.worker_id
        assert worker.free == worker.record.total - used, f"{name}: free does not add up"
        assert all(amount >= 0 for _, amount in worker.free.amounts()), f"{name}: {worker.free}"
        on_workers |= set(worker.attempts)
    assert active <= on_workers, f"attempts without a worker: {active - on_workers}"
    for uid in on_workers - active:
        attempt = state.jobs.attempt(uid)
        assert attempt is not None, f"{uid} is unknown and occupies a worker"
        assert attempt.state.is_terminal, f"{uid} is active and its task does not know"
    for slice_id, slice_ in state.fleet.slices.items():
        counted = sum(
            len(worker.attempts) for worker in state.fleet if worker.record.slice_id == slice_id
        )
        assert slice_.attempts == counted, (
            f"slice {slice_id} counts {slice_.attempts}, not {counted}"
        )
        assert (slice_.idle_since is None) == (counted > 0) or not slice_.workers, slice_id


def _check_job(state: ControllerState, job: Job) -> set[str]:
    """The uids of the job's active attempts."""
    record = job.record
    counts = {state: count for state, count in job.counts.items() if count}
    assert counts == Counter(task.state for task in job.tasks), f"{job.job_id}: counts"
    started = record.started_at is not None
    assert record.state is roll_up(counts, started=started), f"{job.job_id}: {record.state}"
    assert record.state.is_terminal == (record.finished_at is not None), f"{job.job_id}: end"
    active: set[str] = set()
    for task in job.tasks:
        where = f"{job.job_id}/{task.index}"
        attempts = list(state.jobs.attempts_of(job, task.index))
        assert [attempt.number for attempt in attempts] == list(range(task.attempts)), where
        running = [attempt for attempt in attempts if attempt.state.is_active]
        held = task.index in job.held
        assert len(running) == (task.state.is_active and not held), (
            f"{where}: {len(running)} active"
        )
        assert not running or running[0].uid == task.attempt_uid, where
        assert not held or attempts[-1].state is TaskState.SUCCEEDED, where
        assert task.index not in job.ready or task.state is TaskState.PENDING, where
        assert task.state is not TaskState.SUCCEEDED or attempts[-1].state is task.state, where
        active |= {attempt.uid for attempt in running}
    if job.is_gang and not record.state.is_terminal:
        wanted = sum(
            state.is_wanted(attempt)
            for task in job.tasks
            for attempt in state.jobs.attempts_of(job, task.index)
        )
        assert wanted + len(job.held) in (0, len(job.tasks)), f"{job.job_id}: part of a gang runs"
    return active
