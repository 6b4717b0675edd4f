"""What the controller has committed, kept by applying each commit's changes: the simulation's own
copy, which a restarted controller is compared with.
"""

from iris.controller.state.jobs import JobTable
from iris.controller.state.machine import ControllerState
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord, WorkerRecord
from iris.controller.store import Changes
from iris.model.ids import AttemptUid, JobId, WorkerId


class Ledger:
    """Records by their names."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, JobRecord] = {}
        self.tasks: dict[JobId, dict[int, TaskRecord]] = {}
        self.attempts: dict[AttemptUid, AttemptRecord] = {}
        self.attempts_of: dict[tuple[JobId, int], list[AttemptUid]] = {}
        self.workers: dict[WorkerId, WorkerRecord] = {}

    def commit(self, changes: Changes) -> None:
        """One transaction."""
        for job_id in changes.pruned:
            self._prune(job_id)
        for job in changes.jobs:
            self.jobs[job.job_id] = job
            self.tasks.setdefault(job.job_id, {})
        for job_id, task in changes.tasks:
            self.tasks[job_id][task.index] = task
        for attempt in changes.attempts:
            if attempt.uid not in self.attempts:
                self.attempts_of.setdefault((attempt.job_id, attempt.index), []).append(attempt.uid)
            self.attempts[attempt.uid] = attempt
        for worker in changes.workers:
            self.workers[worker.worker_id] = worker
        for gone in changes.gone_workers:
            self.workers.pop(gone, None)

    def task(self, job_id: JobId, index: int) -> TaskRecord:
        """A task's record; one that nothing has happened to is as new."""
        return self.tasks[job_id].get(index) or TaskRecord(index)

    def _prune(self, job_id: JobId) -> None:
        job = self.jobs.pop(job_id, None)
        if job is None:
            return
        del self.tasks[job_id]
        for index in range(job.spec.replicas):
            for uid in self.attempts_of.pop((job_id, index), ()):
                del self.attempts[uid]


def differences(ledger: Ledger, state: ControllerState) -> list[str]:
    """Where a state that was just restored is not what was committed."""
    jobs = {job.job_id: job for job in state.jobs.newest_first()}
    found = [f"{job_id} is lost" for job_id in ledger.jobs if job_id not in jobs]
    for job_id, job in jobs.items():
        record = ledger.jobs.get(job_id)
        if record is None:
            found.append(f"{job_id} was never committed, or was pruned")
            continue
        if _plain(job.record) != _plain(record):
            found.append(f"{job_id} is {_plain(job.record)}, not {_plain(record)}")
        for task in job.tasks:
            committed = ledger.task(job_id, task.index)
            if task != committed:
                found.append(f"{job_id}/{task.index} is {task}, not {committed}")
            uids = [attempt.uid for attempt in state.jobs.attempts_of(job, task.index)]
            if uids != ledger.attempts_of.get((job_id, task.index), []):
                found.append(f"{job_id}/{task.index} has the attempts {uids}")
            found += _attempt_differences(ledger, state.jobs, uids)
    workers = {worker.record.worker_id: worker.record for worker in state.fleet}
    if workers != ledger.workers:
        found.append(f"the workers are {sorted(workers)}, not {sorted(ledger.workers)}")
    return found


def _attempt_differences(ledger: Ledger, jobs: JobTable, uids: list[AttemptUid]) -> list[str]:
    return [
        f"attempt {uid} is {jobs.attempt(uid)}, not {ledger.attempts.get(uid)}"
        for uid in uids
        if jobs.attempt(uid) != ledger.attempts.get(uid)
    ]


def _plain(record: JobRecord) -> tuple[object, ...]:
    """All but its version, which need not survive."""
    return (
        record.number,
        record.spec,
        record.submitted_at,
        record.state,
        record.error,
        record.started_at,
        record.finished_at,
        record.retries,
        record.request_id,
        record.placed_at,
    )
