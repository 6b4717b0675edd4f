"""For tests: what a store would have, brought up to date with nothing but the effects of turns."""

from datetime import datetime

from iris.controller.state.effects import Effects
from iris.controller.state.machine import ControllerState
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord, WorkerRecord
from iris.controller.state.retry import RetryPolicy
from iris.controller.state.scenario import Scenario
from iris.model.ids import AttemptUid, JobId, WorkerId


class KeptRecords:
    """Records as they were written at the end of the last turn."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, JobRecord] = {}
        self.tasks: dict[tuple[JobId, int], TaskRecord] = {}
        self.attempts: dict[AttemptUid, AttemptRecord] = {}
        self.workers: dict[WorkerId, WorkerRecord] = {}
        self.next_number = 1

    def write(self, state: ControllerState, effects: Effects) -> None:
        """Ends a turn. Everything that its effects name has to be there."""
        for job_id in effects.pruned:
            self._forget(job_id)
        for job_id in effects.jobs:
            job = state.jobs.get(job_id)
            assert job is not None, f"{job_id} is not there"
            self.jobs[job_id] = job.record
        for job_id, index in effects.tasks:
            job = state.jobs.get(job_id)
            assert job is not None, f"{job_id}/{index} is not there"
            self.tasks[job_id, index] = job.tasks[index]
        for uid in effects.attempts:
            attempt = state.jobs.attempt(uid)
            assert attempt is not None, f"{uid} is not there"
            self.attempts[uid] = attempt
        for worker_id in effects.workers:
            worker = state.fleet.get(worker_id)
            if worker is None:
                self.workers.pop(worker_id, None)
            else:
                self.workers[worker_id] = worker.record
        self.next_number = state.jobs.next_number

    def _forget(self, job_id: JobId) -> None:
        """A job; it may have come and gone within the turn."""
        self.jobs.pop(job_id, None)
        self.tasks = {key: task for key, task in self.tasks.items() if key[0] != job_id}
        self.attempts = {uid: one for uid, one in self.attempts.items() if one.job_id != job_id}

    def check(self, state: ControllerState) -> None:
        """Nothing has changed that was not named."""
        jobs = list(state.jobs.newest_first())
        assert self.jobs == {job.job_id: job.record for job in jobs}
        assert self.tasks == {
            (job.job_id, task.index): task for job in jobs for task in job.tasks.touched()
        }
        assert self.attempts == {
            attempt.uid: attempt
            for job in jobs
            for index in range(len(job.tasks))
            for attempt in state.jobs.attempts_of(job, index)
        }
        assert self.workers == {worker.record.worker_id: worker.record for worker in state.fleet}
        assert self.next_number == state.jobs.next_number

    def restored(self, retry: RetryPolicy | None, now: datetime) -> Scenario:
        """A controller that goes on from here. Its jobs have new versions, as if they were written
        already.
        """
        world = Scenario(retry)
        world.now = now
        tasks: dict[JobId, list[TaskRecord]] = {}
        for job_id, index in sorted(self.tasks):
            tasks.setdefault(job_id, []).append(self.tasks[job_id, index])
        world.state.restore(
            sorted(self.jobs.values(), key=lambda job: job.number),
            tasks,
            sorted(self.attempts.values(), key=lambda attempt: attempt.number),
            self.workers.values(),
            now,
            self.next_number,
        )
        self.jobs = {job.job_id: job.record for job in world.state.jobs.newest_first()}
        return world
