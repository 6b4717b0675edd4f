"""What follows from an attempt's end: success, another attempt, the gang anew, or the end of the
job.

The rules:

* A failure counts against `max_retries_failure`, a lost worker (or a worker that ended the attempt
  by itself, because it shuts down) against `max_retries_preemption`. While the budget lasts, and
  the job's limit (`RetryPolicy`), the task waits a while and runs again, if it can be on another
  worker.
* A gang starts and ends as one. If a member is to run again, all are: attempts that still run are
  stopped, and the gang is ready when every member is back. A member that succeeds while others
  still run stays RUNNING until all have succeeded, because until then it may have to run again.
* A task that fails for good ends its job, gang or not: what waits is KILLED at once, what runs is
  stopped. Tasks of a job are parts of one result; going on would only cost. (Work that should
  survive its neighbours' failures is a job of its own.)
* An attempt that was told to stop decides nothing when it ends, except that it may have succeeded.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from iris.controller.state.effects import Effects
from iris.controller.state.fleet import Fleet
from iris.controller.state.jobs import Job, JobTable
from iris.controller.state.records import AttemptRecord, StopIntent
from iris.controller.state.retry import RetryPolicy
from iris.model.errors import Internal
from iris.model.states import TaskState

_LOGS_MISSING = "log lines may be missing"


class Outcomes:
    """Carries the rules out on the jobs and the fleet of one state."""

    def __init__(self, jobs: JobTable, fleet: Fleet, retry: RetryPolicy) -> None:
        self._jobs = jobs
        self._fleet = fleet
        self._retry = retry

    def end_attempt(
        self,
        attempt: AttemptRecord,
        state: TaskState,
        at: datetime,
        jitter: float,
        effects: Effects,
        **details: Any,
    ) -> None:
        """An active attempt ended in `state`; `details` are further fields of its record."""
        error = details.get("error", "")
        if attempt.stop is not None and state is not TaskState.SUCCEEDED:
            error = f"{attempt.stop_reason} ({error})" if error else attempt.stop_reason
        if not details.get("logs_complete", True):
            error = f"{error}; {_LOGS_MISSING}" if error else _LOGS_MISSING
        details["error"] = error
        attempt = self._jobs.change_attempt(
            attempt, state, f"ended on {attempt.worker_id}", effects, **details
        )
        self._fleet.give_back(attempt.worker_id, attempt.uid, at)
        effects.reschedule = True
        job = self._jobs.get(attempt.job_id)
        if job is None:
            raise Internal(f"Attempt {attempt.uid} belongs to no job.")
        if job.record.started_at is None and attempt.started_at is not None:
            job.record = replace(job.record, started_at=attempt.started_at)
        if attempt.stop is StopIntent.KILL:
            self._after_kill(job, attempt, at, effects)
        elif attempt.stop is StopIntent.RESTART:
            why = "back in its gang's restart"
            self._jobs.move_task(job, attempt.index, TaskState.PENDING, why, at, effects)
        elif state is TaskState.SUCCEEDED:
            self._after_success(job, attempt.index, at, effects)
        else:
            self._after_failure(job, attempt, at, jitter, effects)

    def end_job(self, job: Job, reason: str, at: datetime, effects: Effects) -> None:
        """Ends all tasks of a job that have not ended: those that wait at once, the others by
        stopping them.
        """
        if not job.record.error:
            job.record = replace(job.record, error=reason)
        effects.jobs[job.job_id] = None
        for index in tuple(job.held):
            self._jobs.move_task(job, index, TaskState.SUCCEEDED, "succeeded before", at, effects)
        for index, task in enumerate(job.tasks):
            if task.state is TaskState.PENDING:
                self._jobs.move_task(
                    job, index, TaskState.KILLED, reason, at, effects, error=reason
                )
            elif task.state.is_active:
                self._stop(self._current(job, index), StopIntent.KILL, reason, effects)

    def _after_kill(self, job: Job, attempt: AttemptRecord, at: datetime, effects: Effects) -> None:
        if attempt.state is TaskState.SUCCEEDED:
            end, error = TaskState.SUCCEEDED, ""
        else:
            end, error = TaskState.KILLED, attempt.stop_reason
        self._jobs.move_task(job, attempt.index, end, attempt.stop_reason, at, effects, error=error)

    def _after_success(self, job: Job, index: int, at: datetime, effects: Effects) -> None:
        if not job.is_gang:
            self._jobs.move_task(job, index, TaskState.SUCCEEDED, "succeeded", at, effects)
            return
        if job.tasks[index].state is not TaskState.RUNNING:
            self._jobs.move_task(job, index, TaskState.RUNNING, "ran", at, effects)
        job.held.add(index)
        if len(job.held) == len(job.tasks):
            for member in sorted(job.held):
                self._jobs.move_task(
                    job, member, TaskState.SUCCEEDED, "all of the gang succeeded", at, effects
                )

    def _after_failure(
        self, job: Job, attempt: AttemptRecord, at: datetime, jitter: float, effects: Effects
    ) -> None:
        spec, task = job.record.spec, job.tasks[attempt.index]
        failed = attempt.state is TaskState.FAILED
        failures, preemptions = task.failures + failed, task.preemptions + (not failed)
        limit = self._retry.job_limit(spec.replicas)
        ended = f"attempt {attempt.number} on {attempt.worker_id}: {attempt.describe_end()}"
        if failures > spec.max_retries_failure:
            why = f"max_retries_failure is {spec.max_retries_failure}"
        elif preemptions > spec.max_retries_preemption:
            why = f"max_retries_preemption is {spec.max_retries_preemption}"
        elif job.record.retries >= limit:
            why = f"the job has used up its {limit} retries"
        else:
            why = ""
        changes: dict[str, Any] = {"failures": failures, "preemptions": preemptions, "error": ended}
        changes["avoid"] = self._avoid(task.avoid, attempt)
        if why:
            # A worker that ends an attempt on its own is no user who killed it.
            end = TaskState.WORKER_FAILED if attempt.state is TaskState.KILLED else attempt.state
            self._jobs.move_task(job, attempt.index, end, ended, at, effects, **changes)
            reason = f"Task {attempt.task_id} failed for good ({why}), {ended}"
            self.end_job(job, reason, at, effects)
            return
        job.record = replace(job.record, retries=job.record.retries + 1)
        due = at + self._retry.delay(failures + preemptions, jitter)
        changes["not_before"] = due
        self._jobs.move_task(job, attempt.index, TaskState.PENDING, ended, at, effects, **changes)
        if job.is_gang:
            self._restart_others(job, attempt, due, at, effects)

    def _restart_others(
        self, job: Job, attempt: AttemptRecord, due: datetime, at: datetime, effects: Effects
    ) -> None:
        reason = f"the gang restarts because of {attempt.task_id}: {attempt.describe_end()}"
        for index, task in enumerate(job.tasks):
            if index in job.held:
                self._jobs.move_task(
                    job, index, TaskState.PENDING, reason, at, effects, not_before=due
                )
            elif task.state.is_active:
                self._stop(self._current(job, index), StopIntent.RESTART, reason, effects)

    def _stop(
        self, attempt: AttemptRecord, intent: StopIntent, reason: str, effects: Effects
    ) -> None:
        """Once told to stop, an attempt stays so; what was to run again can still be killed."""
        if attempt.stop is StopIntent.KILL or attempt.stop is intent:
            return
        self._jobs.change_attempt(
            attempt, attempt.state, reason, effects, stop=intent, stop_reason=reason
        )
        effects.stop[attempt.worker_id, attempt.uid] = None

    def _avoid(self, avoided: tuple[str, ...], attempt: AttemptRecord) -> tuple[str, ...]:
        others = tuple(worker for worker in avoided if worker != attempt.worker_id)
        return (*others, attempt.worker_id)[-self._retry.avoided :]

    def _current(self, job: Job, index: int) -> AttemptRecord:
        uid = job.tasks[index].attempt_uid
        attempt = self._jobs.attempt(uid) if uid else None
        if attempt is None or not attempt.state.is_active:
            raise Internal(
                f"Task {index} of {job.job_id} is active without an attempt that is: "
                f"{self._jobs.story(job, index)}."
            )
        return attempt
