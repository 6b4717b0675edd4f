"""The controller's state: events in, effects out.

The same events in the same order always give the same state.

What becomes of a task when an attempt ends is decided in `iris.controller.state.outcomes`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from iris.controller.state import events
from iris.controller.state.attachments import Attachments, is_from, place_of
from iris.controller.state.copier import Copier
from iris.controller.state.deadlines import Deadlines, Limit
from iris.controller.state.effects import Effects
from iris.controller.state.fleet import Fleet
from iris.controller.state.job import Job
from iris.controller.state.jobs import JobTable
from iris.controller.state.outcomes import Outcomes
from iris.controller.state.published import Published
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord, Usage, WorkerRecord
from iris.controller.state.retry import RetryPolicy
from iris.controller.state.submissions import Submissions
from iris.model.errors import Internal, NotFound
from iris.model.ids import AttemptUid, JobId, TaskId, WorkerId, index_of, job_of
from iris.model.states import TASK_TRANSITIONS, TaskState, roll_up

# States that a worker may report.
REPORTABLE = frozenset(
    {TaskState.BUILDING, TaskState.RUNNING, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.KILLED}
)
# Above all that unstored changes (reasons for waiting) can add between two stored ones.
_VERSION_STEP = 1 << 20
_JOBS = Copier(JobRecord)


class ControllerState:
    """Jobs and workers. Not thread-safe.

    Args:
        stop_grace: Between SIGTERM and SIGKILL, for jobs that do not say: the scheduler has to know
            when work is gone.

    `apply` either raises an error that a caller caused (NotFound, AlreadyExists) and changes
    nothing, or changes the state and says how. Internal means that the state can no longer be
    trusted.
    """

    def __init__(
        self, retry: RetryPolicy | None = None, *, stop_grace: timedelta = timedelta(seconds=10)
    ) -> None:
        self.jobs = JobTable(stop_grace)
        self.fleet = Fleet()
        self.ended = self.jobs.ended
        self.stop_grace = stop_grace
        self._deadlines = Deadlines(self.jobs)
        self._outcomes = Outcomes(self.jobs, self.fleet, retry or RetryPolicy())
        self._submissions = Submissions(self.jobs, self._deadlines)
        self.published = Published(self.jobs)
        attachments = Attachments(self.jobs, self.fleet, self._outcomes)
        self._usage: dict[AttemptUid, Usage] = {}
        self._handlers: dict[type, Callable[[Any, Effects], None]] = {
            events.JobSubmitted: self._submissions.submit,
            events.TerminateRequested: self._terminate,
            events.TasksAssigned: self._assigned,
            events.TasksPreempted: self._outcomes.preempt,
            events.AttemptObserved: self._observed,
            events.WorkerAttached: attachments.attached,
            events.WorkerDetached: attachments.detached,
            events.WorkerLost: attachments.lost,
            events.WorkerHealthChanged: attachments.health_changed,
            events.WorkerDrainChanged: attachments.drain_changed,
            events.SliceDraining: attachments.draining,
            events.SliceGone: attachments.slice_gone,
            events.TimePassed: self._time_passed,
            events.EndpointRegistered: self.published.register,
            events.EndpointUnregistered: self.published.unregister,
            events.OutputPublished: self.published.publish,
            events.JobsPruned: self._submissions.prune,
        }

    def apply(self, event: events.Event) -> Effects:
        """Takes one event."""
        effects = Effects()
        self._handlers[type(event)](event, effects)
        self._settle_all(event.at, effects)
        for uid in effects.attempts:
            attempt = self.jobs.attempt(uid)
            if attempt is None or attempt.state.is_terminal:
                self._usage.pop(uid, None)
                if attempt is not None and attempt.endpoints:
                    self.published.ended(attempt)
        return effects

    def restore(
        self,
        jobs: Iterable[JobRecord],
        tasks: dict[JobId, list[TaskRecord]],
        attempts: Iterable[AttemptRecord],
        workers: Iterable[WorkerRecord],
        at: datetime,
        next_number: int = 1,
    ) -> None:
        """Fills an empty state with what was stored. Every worker starts out disconnected.

        `jobs` come in order of their numbers; `tasks` are those that are not as new; the attempts
        of a task come in order of theirs; `next_number` is beyond that of every job there ever was.
        Raises Internal when they contradict each other.
        """
        for record in workers:
            self.fleet.put(record, at, connected=False)
        for job_record in jobs:
            if job_record.number < self.jobs.next_number:
                raise Internal(f"{job_record.job_id} has number {job_record.number}, out of order.")
            version = (job_record.version // _VERSION_STEP + 1) * _VERSION_STEP
            job = self.jobs.add(
                replace(job_record, version=version), tasks.get(job_record.job_id, ())
            )
            for limit in Limit:
                self._deadlines.watch(job, limit)
        self.jobs.next_number = max(self.jobs.next_number, next_number)
        for attempt in attempts:
            self.jobs.add_attempt(attempt)
            job = self._job(attempt.job_id)
            task = job.tasks[attempt.index]
            if attempt.state.is_active:
                worker = self.fleet.get(attempt.worker_id)
                if worker is None:
                    raise Internal(
                        f"Attempt {attempt.uid} runs on {attempt.worker_id}, which is gone."
                    )
                self.fleet.take(worker, attempt.uid, place_of(job, attempt))
                self.published.restored(attempt)
            elif task.attempt_uid == attempt.uid and task.state.is_active:
                job.hold(attempt.index)

    def next_due(self) -> datetime | None:
        """When TimePassed is due."""
        due = (self.jobs.next_due(), self._deadlines.next_due())
        return min((moment for moment in due if moment is not None), default=None)

    def is_news(self, worker_id: WorkerId, incarnation_id: str, seen: events.Observation) -> bool:
        """Whether an observation says anything that the state does not; usage alone is no news."""
        attempt = self.jobs.attempt(seen.attempt_uid)
        if attempt is None or not is_from(attempt, worker_id, incarnation_id):
            return True
        if seen.state.is_terminal:
            return True  # if only to be acknowledged again
        return seen.state is not attempt.state or dict(seen.ports) != dict(attempt.ports)

    def note_usage(self, uid: AttemptUid, usage: Usage) -> None:
        """What a running attempt uses now; kept in memory only."""
        attempt = self.jobs.attempt(uid)
        if attempt is not None and attempt.state.is_active:
            self._usage[uid] = usage

    def usage_of(self, attempt: AttemptRecord) -> Usage | None:
        """What it used in all or, while it runs, uses."""
        return attempt.usage or self._usage.get(attempt.uid)

    def note_reason_changed(self, job_id: JobId) -> None:
        """Why the job's tasks wait is not part of the state, but watchers see it: a new version."""
        job = self._job(job_id)
        job.record = replace(job.record, version=job.record.version + 1)

    def is_wanted(self, attempt: AttemptRecord) -> bool:
        """Whether its worker should run it."""
        return attempt.state.is_active and attempt.stop is None

    def _job(self, job_id: JobId) -> Job:
        job = self.jobs.get(job_id)
        if job is None:
            raise NotFound(
                f"There is no job {job_id}.", hint="The name begins with the user: /user/name."
            )
        return job

    def _settle_all(self, at: datetime, effects: Effects) -> None:
        """Works out the states of the jobs that were touched. The children of one that has ended
        are touched by that.
        """
        touched: Iterable[JobId] = effects.jobs
        while ended := [job for job in map(self._job, touched) if self._settle(job, at)]:
            below = Effects()
            for job in ended:
                reason = f"Its parent {job.job_id} has ended."
                self._outcomes.end_children(job, reason, at, below)
            effects.add(below)
            touched = below.jobs

    def _settle(self, job: Job, at: datetime) -> bool:
        """Works out the job's state; whether it has ended just now."""
        record = job.record
        state = roll_up(
            job.counts,
            started=record.started_at is not None,
            allowed_failures=record.spec.max_task_failures,
            timed_out=record.timed_out,
        )
        changes: dict[str, Any] = {"state": state, "version": record.version + 1}
        if state.is_terminal and record.finished_at is None:
            changes["finished_at"] = at
        return self.jobs.settle(job, _JOBS.changed(record, changes))

    def _terminate(self, event: events.TerminateRequested, effects: Effects) -> None:
        job = self._job(event.job_id)
        if job.record.state.is_terminal:
            return
        reason = f"Terminated: {event.reason}" if event.reason else "Terminated."
        self._outcomes.end_job(job, reason, event.at, effects)

    def _assigned(self, event: events.TasksAssigned, effects: Effects) -> None:
        for assignment in event.assignments:
            self._assign(assignment, event.at, effects)
        for job_id in effects.jobs:
            job = self._job(job_id)
            if job.is_gang and job.counts.get(TaskState.PENDING, 0):
                raise Internal(f"The gang {job_id} was placed in part.")

    def _assign(self, given: events.Assignment, at: datetime, effects: Effects) -> None:
        job, index = self._task(given.task_id)
        worker = self.fleet.get(given.worker_id)
        resources = job.record.spec.resources
        if index not in job.ready:
            raise Internal(
                f"{given.task_id} was placed but is not ready: {self.jobs.story(job, index)}."
            )
        if worker is None or self.fleet.refusal(worker):
            raise Internal(f"{given.task_id} was placed on {given.worker_id}, which takes no work.")
        if not resources.fits_in(worker.free):
            raise Internal(
                f"{given.task_id} was placed on {given.worker_id}, which has {worker.free} free, "
                f"not {resources}."
            )
        task = job.tasks[index]
        attempt = AttemptRecord(
            uid=given.attempt_uid,
            job_id=job.job_id,
            index=index,
            number=task.attempts,
            worker_id=given.worker_id,
            incarnation_id=worker.record.incarnation_id,
            assigned_at=at,
        )
        self.jobs.add_attempt(attempt)
        if job.record.placed_at is None:
            job.record = replace(job.record, placed_at=at)
            self._deadlines.watch(job, Limit.TIMEOUT)
        effects.attempts[given.attempt_uid] = None
        effects.run[given.worker_id, given.attempt_uid] = None
        self.fleet.take(worker, given.attempt_uid, place_of(job, attempt))
        self.jobs.move_task(
            job,
            index,
            TaskState.ASSIGNED,
            f"placed on {given.worker_id}",
            at,
            effects,
            attempts=task.attempts + 1,
            attempt_uid=given.attempt_uid,
            not_before=None,
        )

    def _task(self, name: TaskId) -> tuple[Job, int]:
        return self._job(job_of(name)), index_of(name)

    def _observed(self, event: events.AttemptObserved, effects: Effects) -> None:
        seen, key = event.observation, (event.worker_id, event.observation.attempt_uid)
        attempt = self.jobs.attempt(seen.attempt_uid)
        stale = attempt is not None and not is_from(attempt, event.worker_id, event.incarnation_id)
        if attempt is None or stale or attempt.state.is_terminal:
            # Unknown, another process's, or ended before: nothing changes, but the worker lets go.
            if not seen.state.is_terminal:
                effects.stop[key] = None
                return
            effects.acknowledge[key] = None
            if attempt is not None and not stale and attempt.given_up:
                why = f"its end was told on {attempt.worker_id}"
                self.jobs.change_attempt(attempt, attempt.state, why, effects, given_up=False)
            if stale:
                return
            gone = self.fleet.stranger_left(event.worker_id, event.incarnation_id, seen.attempt_uid)
            if self.fleet.give_back(event.worker_id, seen.attempt_uid, event.at) or gone:
                effects.reschedule = True  # it was given up, and its worker still had it
            return
        if seen.state is not attempt.state and seen.state not in TASK_TRANSITIONS[attempt.state]:
            return  # an older observation, overtaken by a newer one
        if seen.state.is_terminal:
            effects.acknowledge[key] = None
            latest = self._usage.get(attempt.uid)
            self._outcomes.end_attempt(
                attempt,
                seen.state,
                event.at,
                event.jitter,
                effects,
                started_at=seen.started_at or attempt.started_at,
                finished_at=seen.finished_at or event.at,
                exit_code=seen.exit_code,
                signal=seen.signal,
                error=seen.error,
                usage=seen.usage or latest,
                logs_complete=seen.logs_complete,
                ports=seen.ports or attempt.ports,
            )
            return
        self._progress(attempt, seen, event.at, effects)

    def _progress(
        self, attempt: AttemptRecord, seen: events.Observation, at: datetime, effects: Effects
    ) -> None:
        job = self._job(attempt.job_id)
        why = f"observed on {attempt.worker_id}"
        self.jobs.change_attempt(
            attempt,
            seen.state,
            why,
            effects,
            started_at=seen.started_at or attempt.started_at,
            ports=seen.ports or attempt.ports,
        )
        if job.tasks[attempt.index].state is not seen.state:
            self.jobs.move_task(job, attempt.index, seen.state, why, at, effects)
        if seen.state is TaskState.RUNNING and job.record.started_at is None:
            job.record = replace(job.record, started_at=seen.started_at or at)

    def _time_passed(self, event: events.TimePassed, effects: Effects) -> None:
        for job, limit in self._deadlines.take_due(event.at):
            self._outcomes.run_out(job, limit, event.at, effects)
        self.jobs.release_due(event.at, effects)
