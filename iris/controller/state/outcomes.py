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
* A task that fails for good ends its job once more tasks have than `max_task_failures` allows (0,
  unless the job says otherwise): what waits is KILLED at once, what runs is stopped. Tasks of a job
  are parts of one result; going on would only cost.
* Work that makes room for work of an earlier band is stopped, counts against
  `max_retries_preemption` and waits anew at once: neither the task nor its worker is to blame. Of a
  gang all attempts are stopped, and it is placed anew as a whole.
* An attempt that was told to stop decides nothing when it ends, except that it may have succeeded.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from iris.controller.state.deadlines import Limit
from iris.controller.state.effects import Effects
from iris.controller.state.events import TasksPreempted
from iris.controller.state.fleet import Fleet
from iris.controller.state.job import Job
from iris.controller.state.jobs import JobTable
from iris.controller.state.records import AttemptRecord, StopIntent
from iris.controller.state.retry import RetryPolicy
from iris.model.errors import Internal
from iris.model.states import FAILURES, TaskState

# What decides about the task for good is not overruled by what only has it placed anew.
_FINAL = frozenset({StopIntent.KILL, StopIntent.TIMEOUT})
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
        if attempt.stop is StopIntent.PREEMPT and state is not TaskState.SUCCEEDED:
            state = TaskState.PREEMPTED
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
        self._decide(job, attempt, at, jitter, effects)

    def _decide(
        self, job: Job, attempt: AttemptRecord, at: datetime, jitter: float, effects: Effects
    ) -> None:
        """What becomes of the task."""
        match attempt.stop:
            case StopIntent.KILL:
                self._after_stop(job, attempt, TaskState.KILLED, at, effects)
            case StopIntent.TIMEOUT:
                self._after_stop(job, attempt, TaskState.FAILED, at, effects)
            case StopIntent.RESTART:
                why = "back in its gang's restart"
                self._jobs.move_task(job, attempt.index, TaskState.PENDING, why, at, effects)
            case StopIntent.PREEMPT if job.is_gang or attempt.state is TaskState.PREEMPTED:
                self._after_preemption(job, attempt, at, effects)
            case _ if attempt.state is TaskState.SUCCEEDED:
                self._after_success(job, attempt.index, at, effects)
            case _:
                self._after_failure(job, attempt, at, jitter, effects)

    def end_job(self, job: Job, reason: str, at: datetime, effects: Effects) -> None:
        """Ends all tasks of a job that have not ended: those that wait at once, the others by
        stopping them; and its children with it.
        """
        self._end(job, reason, at, effects, TaskState.KILLED, StopIntent.KILL)

    def end_children(self, job: Job, reason: str, at: datetime, effects: Effects) -> None:
        """Ends the children of a job that has ended, or is certain to, unless they outlive it."""
        for child in self._jobs.children_of(job.job_id):
            if not child.is_ending and not child.record.spec.outlives_parent:
                self.end_job(child, reason, at, effects)

    def run_out(self, job: Job, limit: Limit, at: datetime, effects: Effects) -> None:
        """The job has reached a limit in time. It is not being ended yet."""
        if limit is Limit.TIMEOUT:
            reason = f"It had its time: timeout is {job.record.spec.timeout}."
            job.record = replace(job.record, timed_out=True)
            self._end(job, reason, at, effects, TaskState.FAILED, StopIntent.TIMEOUT)
            return
        never_placed = [
            task.index
            for task in job.tasks
            if task.state is TaskState.PENDING and not task.attempts
        ]
        spec = job.record.spec
        reason = (
            f"{len(never_placed)} of {spec.replicas} tasks found no place within "
            f"scheduling_timeout, {spec.scheduling_timeout}."
        )
        for index in never_placed:
            self._jobs.move_task(
                job, index, TaskState.UNSCHEDULABLE, reason, at, effects, error=reason
            )
        self.end_job(job, reason, at, effects)

    def preempt(self, event: TasksPreempted, effects: Effects) -> None:
        """Stops attempts that have to make room; what has ended or is being stopped stays so.

        Raises Internal for a part of a gang, or an attempt that nobody knows.
        """
        gangs: dict[Job, str] = {}
        for one in event.preempted:
            attempt = self._jobs.attempt(one.attempt_uid)
            job = self._jobs.get(attempt.job_id) if attempt is not None else None
            if attempt is None or job is None:
                raise Internal(f"{one.attempt_uid} was to make room, and is not there.")
            if not attempt.state.is_active or attempt.stop is not None:
                continue
            reason = f"it makes room for {one.for_job}"
            self._stop(attempt, StopIntent.PREEMPT, reason, effects)
            if job.is_gang:
                gangs[job] = reason
        for job, reason in gangs.items():
            self._preempt_rest(job, reason, event.at, effects)

    def _preempt_rest(self, job: Job, reason: str, at: datetime, effects: Effects) -> None:
        """Of a gang that makes room: those that had succeeded have to run again with the others."""
        for index in sorted(job.held):
            self._jobs.move_task(job, index, TaskState.PENDING, reason, at, effects)
        for index, task in enumerate(job.tasks):
            if task.state.is_active and self._current(job, index).stop is None:
                raise Internal(f"The gang {job.job_id} was preempted in part.")

    def _end(
        self,
        job: Job,
        reason: str,
        at: datetime,
        effects: Effects,
        waiting: TaskState,
        intent: StopIntent,
    ) -> None:
        if not job.record.error:
            job.record = replace(job.record, error=reason)
        effects.jobs[job.job_id] = None
        for index in sorted(job.held):
            self._jobs.move_task(job, index, TaskState.SUCCEEDED, "succeeded before", at, effects)
        for index, task in enumerate(job.tasks):
            if task.state is TaskState.PENDING:
                self._jobs.move_task(job, index, waiting, reason, at, effects, error=reason)
            elif task.state.is_active:
                self._stop(self._current(job, index), intent, reason, effects)
        self.end_children(job, f"Its parent {job.job_id} ends: {reason}", at, effects)

    def _after_stop(
        self, job: Job, attempt: AttemptRecord, end: TaskState, at: datetime, effects: Effects
    ) -> None:
        error = attempt.stop_reason
        if attempt.state is TaskState.SUCCEEDED:
            end, error = TaskState.SUCCEEDED, ""
        self._jobs.move_task(job, attempt.index, end, attempt.stop_reason, at, effects, error=error)

    def _after_preemption(
        self, job: Job, attempt: AttemptRecord, at: datetime, effects: Effects
    ) -> None:
        task, most = job.tasks[attempt.index], job.record.spec.max_retries_preemption
        preemptions = task.preemptions + (attempt.state is TaskState.PREEMPTED)
        ended = f"attempt {attempt.number} on {attempt.worker_id}: {attempt.stop_reason}"
        changes: dict[str, Any] = {"preemptions": preemptions, "error": ended}
        if preemptions > most:
            why = f"max_retries_preemption is {most}"
            self._fail_for_good(job, attempt, TaskState.PREEMPTED, why, at, effects, **changes)
            return
        self._jobs.move_task(job, attempt.index, TaskState.PENDING, ended, at, effects, **changes)

    def _after_success(self, job: Job, index: int, at: datetime, effects: Effects) -> None:
        if not job.is_gang:
            self._jobs.move_task(job, index, TaskState.SUCCEEDED, "succeeded", at, effects)
            return
        if job.tasks[index].state is not TaskState.RUNNING:
            self._jobs.move_task(job, index, TaskState.RUNNING, "ran", at, effects)
        job.hold(index)
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
            self._fail_for_good(job, attempt, end, why, at, effects, **changes)
            return
        job.record = replace(job.record, retries=job.record.retries + 1)
        due = at + self._retry.delay(failures + preemptions, jitter)
        changes["not_before"] = due
        self._jobs.move_task(job, attempt.index, TaskState.PENDING, ended, at, effects, **changes)
        if job.is_gang:
            self._restart_others(job, attempt, due, at, effects)

    def _fail_for_good(
        self,
        job: Job,
        attempt: AttemptRecord,
        end: TaskState,
        why: str,
        at: datetime,
        effects: Effects,
        **changes: Any,
    ) -> None:
        """The task gets no further attempt. Ends the job if that is one too many."""
        ended = changes["error"]
        self._jobs.move_task(job, attempt.index, end, ended, at, effects, **changes)
        failed = sum(job.counts.get(state, 0) for state in FAILURES)
        if failed > job.record.spec.max_task_failures:
            reason = f"Task {attempt.task_id} failed for good ({why}), {ended}"
            self.end_job(job, reason, at, effects)

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
        """Once told to stop, an attempt stays so; what was to run again can still be ended."""
        if attempt.stop is not None and (attempt.stop in _FINAL or intent not in _FINAL):
            return
        self._jobs.change_attempt(
            attempt, attempt.state, reason, effects, stop=intent, stop_reason=reason
        )
        self._fleet.will_stop(attempt.worker_id, attempt.uid)
        effects.stop[attempt.worker_id, attempt.uid] = None
        effects.reschedule = True  # what it has will be free soon

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
