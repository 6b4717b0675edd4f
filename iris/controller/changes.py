"""Which records a turn's effects mean, for the store."""

from iris.controller.state.effects import Effects
from iris.controller.state.jobs import Job
from iris.controller.state.machine import ControllerState
from iris.controller.state.records import AttemptRecord
from iris.controller.store import Changes
from iris.model.errors import Internal
from iris.model.ids import AttemptUid, JobId


def changes_of(state: ControllerState, effects: Effects) -> Changes:
    """The records as they are now of everything that the effects touched."""
    workers = {worker_id: state.fleet.get(worker_id) for worker_id in effects.workers}
    return Changes(
        jobs=tuple(_job(state, job_id).record for job_id in effects.jobs),
        tasks=tuple((job_id, _job(state, job_id).tasks[index]) for job_id, index in effects.tasks),
        attempts=tuple(_attempt(state, uid) for uid in effects.attempts),
        workers=tuple(worker.record for worker in workers.values() if worker is not None),
        gone_workers=tuple(worker_id for worker_id, worker in workers.items() if worker is None),
        pruned=tuple(effects.pruned),
        next_number=state.jobs.next_number,
    )


def _job(state: ControllerState, job_id: JobId) -> Job:
    job = state.jobs.get(job_id)
    if job is None:
        raise Internal(f"{job_id} was touched and is not there.")
    return job


def _attempt(state: ControllerState, uid: AttemptUid) -> AttemptRecord:
    attempt = state.jobs.attempt(uid)
    if attempt is None:
        raise Internal(f"Attempt {uid} was touched and is not there.")
    return attempt
