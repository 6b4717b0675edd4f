"""The controller's state: events in, effects out.

The same events in the same order always give the same state.

What becomes of a task when an attempt ends is decided in `iris.controller.state.outcomes`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from iris.controller.state import events
from iris.controller.state.effects import Effects
from iris.controller.state.fleet import Fleet, Worker
from iris.controller.state.jobs import Job, JobTable
from iris.controller.state.outcomes import Outcomes
from iris.controller.state.records import (
    AttemptRecord,
    JobRecord,
    TaskRecord,
    Usage,
    WorkerRecord,
)
from iris.controller.state.retry import RetryPolicy, spread
from iris.model.errors import AlreadyExists, Internal, NotFound
from iris.model.ids import AttemptUid, JobId, TaskId, WorkerId, index_of, job_of
from iris.model.states import TASK_TRANSITIONS, TaskState, roll_up

# States that a worker may report.
REPORTABLE = frozenset(
    {TaskState.BUILDING, TaskState.RUNNING, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.KILLED}
)
# Above all that unstored changes (reasons for waiting) can add between two stored ones.
_VERSION_STEP = 1 << 20


class ControllerState:
    """Jobs and workers. Not thread-safe.

    `apply` either raises an error that a caller caused (NotFound, AlreadyExists) and changes
    nothing, or changes the state and says how. Internal means that the state can no longer be
    trusted.
    """

    def __init__(self, retry: RetryPolicy | None = None) -> None:
        self.jobs = JobTable()
        self.fleet = Fleet()
        self._outcomes = Outcomes(self.jobs, self.fleet, retry or RetryPolicy())
        self._usage: dict[AttemptUid, Usage] = {}
        self._handlers: dict[type, Callable[[Any, Effects], None]] = {
            events.JobSubmitted: self._submitted,
            events.TerminateRequested: self._terminate,
            events.TasksAssigned: self._assigned,
            events.AttemptObserved: self._observed,
            events.WorkerAttached: self._attached,
            events.WorkerDetached: self._detached,
            events.WorkerLost: self._lost,
            events.SliceDraining: self._draining,
            events.SliceGone: self._slice_gone,
            events.RetryDue: self._retry_due,
        }

    def apply(self, event: events.Event) -> Effects:
        """Takes one event."""
        effects = Effects()
        self._handlers[type(event)](event, effects)
        for job_id in effects.jobs:
            self._settle(self._job(job_id), event.at)
        return effects

    def restore(
        self,
        jobs: Iterable[JobRecord],
        tasks: dict[JobId, list[TaskRecord]],
        attempts: Iterable[AttemptRecord],
        workers: Iterable[WorkerRecord],
        at: datetime,
    ) -> None:
        """Fills an empty state with what was stored. Every worker starts out disconnected.

        `jobs` come in order of their numbers; `tasks` are those that are not as new; the attempts
        of a task come in order of theirs. Raises Internal when they contradict each other.
        """
        for record in workers:
            self.fleet.put(record, at, connected=False)
        for job_record in jobs:
            if job_record.number != self.jobs.next_number:
                raise Internal(f"{job_record.job_id} has number {job_record.number}, out of order.")
            version = (job_record.version // _VERSION_STEP + 1) * _VERSION_STEP
            self.jobs.add(replace(job_record, version=version), tasks.get(job_record.job_id, ()))
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
                self.fleet.take(worker, attempt.uid, job.record.spec.resources)
            elif task.attempt_uid == attempt.uid and task.state.is_active:
                job.held.add(attempt.index)

    def next_due(self) -> datetime | None:
        """When RetryDue is due."""
        return self.jobs.next_due()

    def is_news(self, worker_id: WorkerId, incarnation_id: str, seen: events.Observation) -> bool:
        """Whether an observation says anything that the state does not; usage alone is no news."""
        attempt = self.jobs.attempt(seen.attempt_uid)
        if attempt is None or not _is_from(attempt, worker_id, incarnation_id):
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

    def _settle(self, job: Job, at: datetime) -> None:
        record = job.record
        state = roll_up(job.counts, started=record.started_at is not None)
        ended = record.finished_at
        if state.is_terminal and ended is None:
            ended = at
            self.jobs.active -= 1
        job.record = replace(record, state=state, finished_at=ended, version=record.version + 1)

    def _submitted(self, event: events.JobSubmitted, effects: Effects) -> None:
        known = self.jobs.get(event.job_id)
        if known is not None:
            if known.record.spec == event.spec:
                return
            raise AlreadyExists(
                f"There is a job {event.job_id} already, and it is a different one.",
                hint="Choose another name; a job's specification never changes.",
            )
        self.jobs.add(JobRecord(event.job_id, self.jobs.next_number, event.spec, event.at))
        effects.submitted[event.job_id] = None
        effects.jobs[event.job_id] = None
        effects.reschedule = True

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
        if worker is None or not self.fleet.view(worker).accepting:
            raise Internal(f"{given.task_id} was placed on {given.worker_id}, which takes no work.")
        if not resources.fits_in(worker.free):
            raise Internal(
                f"{given.task_id} was placed on {given.worker_id}, which has {worker.free} free, "
                f"not {resources}."
            )
        task = job.tasks[index]
        self.jobs.add_attempt(
            AttemptRecord(
                uid=given.attempt_uid,
                job_id=job.job_id,
                index=index,
                number=task.attempts,
                worker_id=given.worker_id,
                incarnation_id=worker.record.incarnation_id,
                assigned_at=at,
            )
        )
        effects.attempts[given.attempt_uid] = None
        effects.run[given.worker_id, given.attempt_uid] = None
        self.fleet.take(worker, given.attempt_uid, resources)
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
        stale = attempt is None or not _is_from(attempt, event.worker_id, event.incarnation_id)
        if attempt is None or stale or attempt.state.is_terminal:
            # Unknown, another process's, or ended before: nothing changes, but the worker lets go.
            if not seen.state.is_terminal:
                effects.stop[key] = None
                return
            effects.acknowledge[key] = None
            if not stale and self.fleet.give_back(event.worker_id, seen.attempt_uid, event.at):
                effects.reschedule = True  # it was given up, and its worker came back with it
            return
        if seen.state is not attempt.state and seen.state not in TASK_TRANSITIONS[attempt.state]:
            return  # an older observation, overtaken by a newer one
        if seen.state.is_terminal:
            effects.acknowledge[key] = None
            latest = self._usage.pop(attempt.uid, None)
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

    def _attached(self, event: events.WorkerAttached, effects: Effects) -> None:
        known = self.fleet.get(event.worker_id)
        if known is not None and (
            known.record.incarnation_id != event.incarnation_id
            or known.record.slice_id != event.slice_id
        ):
            reason = f"worker {event.worker_id} was started anew"
            self._lose(known, reason, event.at, event.jitter, effects)
            known = None
        record = WorkerRecord(
            worker_id=event.worker_id,
            incarnation_id=event.incarnation_id,
            slice_id=event.slice_id,
            scale_group=event.scale_group,
            total=event.total,
            attributes=event.attributes,
            host=event.host,
            isolation=event.isolation,
            version=event.version,
            attached_at=event.at,
        )
        if known is not None:
            self._compare(known, event, effects)
        worker = self.fleet.put(record, event.at, connected=True)
        for uid in event.running:
            attempt = self.jobs.attempt(uid)
            if attempt is None or not _is_from(attempt, event.worker_id, event.incarnation_id):
                continue
            if attempt.state.is_terminal and uid not in worker.attempts:
                # Given up while the worker was away, but still there: it occupies its place until
                # the worker has stopped it.
                self.fleet.take(worker, uid, self._job(attempt.job_id).record.spec.resources)
        effects.workers[event.worker_id] = None
        effects.reschedule = True

    def _compare(self, worker: Worker, event: events.WorkerAttached, effects: Effects) -> None:
        """Ends what a worker that came back should have and does not name."""
        named = {*event.running, *event.ended}
        for position, uid in enumerate(tuple(worker.attempts)):
            attempt = self.jobs.attempt(uid)
            if uid in named:
                continue
            if attempt is None or attempt.state.is_terminal:
                self.fleet.give_back(event.worker_id, uid, event.at)
            elif attempt.state is not TaskState.ASSIGNED:
                error = f"worker {event.worker_id} no longer has it"
                self._give_up(attempt, TaskState.WORKER_FAILED, error, event, position, effects)
            elif attempt.stop is not None:
                error = "it was to stop before it reached its worker"
                self._give_up(attempt, TaskState.KILLED, error, event, position, effects)

    def _give_up(
        self,
        attempt: AttemptRecord,
        state: TaskState,
        error: str,
        event: events.WorkerAttached,
        position: int,
        effects: Effects,
    ) -> None:
        self._outcomes.end_attempt(
            attempt,
            state,
            event.at,
            spread(event.jitter, position),
            effects,
            finished_at=event.at,
            error=error,
        )

    def _detached(self, event: events.WorkerDetached, effects: Effects) -> None:
        worker = self.fleet.get(event.worker_id)
        if worker is not None and worker.record.incarnation_id == event.incarnation_id:
            self.fleet.disconnect(worker)
            effects.reschedule = True

    def _lost(self, event: events.WorkerLost, effects: Effects) -> None:
        worker = self.fleet.get(event.worker_id)
        if worker is not None and worker.record.incarnation_id == event.incarnation_id:
            self._lose(worker, event.reason, event.at, event.jitter, effects)

    def _lose(
        self, worker: Worker, reason: str, at: datetime, jitter: float, effects: Effects
    ) -> None:
        for position, uid in enumerate(tuple(worker.attempts)):
            attempt = self.jobs.attempt(uid)
            if attempt is None or attempt.state.is_terminal:
                continue
            self._usage.pop(uid, None)
            self._outcomes.end_attempt(
                attempt,
                TaskState.WORKER_FAILED,
                at,
                spread(jitter, position),
                effects,
                finished_at=at,
                error=reason,
                logs_complete=False,
            )
        self.fleet.remove(worker, at)
        effects.workers[worker.record.worker_id] = None
        effects.reschedule = True

    def _draining(self, event: events.SliceDraining, effects: Effects) -> None:
        self.fleet.drain(event.slice_id)
        effects.reschedule = True

    def _slice_gone(self, event: events.SliceGone, effects: Effects) -> None:
        for position, worker_id in enumerate(self.fleet.in_slice(event.slice_id)):
            worker = self.fleet.get(worker_id)
            if worker is not None:
                jitter = spread(event.jitter, position * 31)
                self._lose(worker, event.reason, event.at, jitter, effects)
        self.fleet.forget_slice(event.slice_id)

    def _retry_due(self, event: events.RetryDue, effects: Effects) -> None:
        self.jobs.release_due(event.at, effects)


def _is_from(attempt: AttemptRecord, worker_id: WorkerId, incarnation_id: str) -> bool:
    return attempt.worker_id == worker_id and attempt.incarnation_id == incarnation_id
