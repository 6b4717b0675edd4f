"""Workers that come, go, are lost or are given back with their slices, and what that means for the
attempts they had.
"""

from dataclasses import replace
from datetime import datetime

from iris.controller.state import events
from iris.controller.state.effects import Effects
from iris.controller.state.fleet import Fleet, Place, Worker
from iris.controller.state.job import Job
from iris.controller.state.jobs import JobTable
from iris.controller.state.outcomes import Outcomes
from iris.controller.state.records import AttemptRecord, WorkerRecord
from iris.controller.state.retry import spread
from iris.model.errors import NotFound
from iris.model.ids import user_of
from iris.model.states import TaskState


def is_from(attempt: AttemptRecord, worker_id: str, incarnation_id: str) -> bool:
    """Whether it was given to that very process."""
    return attempt.worker_id == worker_id and attempt.incarnation_id == incarnation_id


def place_of(job: Job, attempt: AttemptRecord) -> Place:
    """What an attempt occupies on its worker."""
    return Place(
        resources=job.record.spec.resources,
        job_id=job.job_id,
        user=user_of(job.job_id),
        band=job.record.spec.priority,
        since=attempt.assigned_at,
        in_gang=job.is_gang,
        stopping=attempt.stop is not None or attempt.state.is_terminal,
    )


class Attachments:
    """For one state."""

    def __init__(self, jobs: JobTable, fleet: Fleet, outcomes: Outcomes) -> None:
        self._jobs = jobs
        self._fleet = fleet
        self._outcomes = outcomes

    def attached(self, event: events.WorkerAttached, effects: Effects) -> None:
        """A worker dials in."""
        known = self._fleet.get(event.worker_id)
        # Who drained it meant the machine, whatever process runs there.
        drained = (
            known is not None and known.record.drained and known.record.slice_id == event.slice_id
        )
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
            problems=event.problems,
            drained=drained,
        )
        if known is not None:
            self._compare(known, event, effects)
        worker = self._fleet.put(record, event.at, connected=True)
        worker.strangers = frozenset(
            uid
            for uid in event.running
            if self._jobs.attempt(uid) is None and uid not in worker.attempts
        )
        for uid in event.running:
            attempt = self._jobs.attempt(uid)
            if attempt is None or not is_from(attempt, event.worker_id, event.incarnation_id):
                continue
            job = self._jobs.get(attempt.job_id)
            if job is not None and attempt.given_up and uid not in worker.attempts:
                # Given up while the worker was away, but still there: it occupies its place until
                # the worker has stopped it. (One whose end the worker has told is gone, though its
                # worker names it until its last lines are there.)
                self._fleet.take(worker, uid, place_of(job, attempt))
        effects.workers[event.worker_id] = None
        effects.reschedule = True

    def _compare(self, worker: Worker, event: events.WorkerAttached, effects: Effects) -> None:
        """Ends what a worker that came back should have and does not name."""
        named = {*event.running, *event.ended}
        for position, uid in enumerate(tuple(worker.attempts)):
            attempt = self._jobs.attempt(uid)
            if uid in named:
                continue
            if attempt is None or attempt.state.is_terminal:
                self._fleet.give_back(event.worker_id, uid, event.at)
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

    def detached(self, event: events.WorkerDetached, effects: Effects) -> None:
        """A stream broke."""
        worker = self._fleet.get(event.worker_id)
        if worker is not None and worker.record.incarnation_id == event.incarnation_id:
            self._fleet.disconnect(worker)
            effects.reschedule = True

    def lost(self, event: events.WorkerLost, effects: Effects) -> None:
        """A worker is given up."""
        worker = self._fleet.get(event.worker_id)
        if worker is not None and worker.record.incarnation_id == event.incarnation_id:
            self._lose(worker, event.reason, event.at, event.jitter, effects)

    def _lose(
        self, worker: Worker, reason: str, at: datetime, jitter: float, effects: Effects
    ) -> None:
        for position, uid in enumerate(tuple(worker.attempts)):
            attempt = self._jobs.attempt(uid)
            if attempt is None or attempt.state.is_terminal:
                continue
            self._outcomes.end_attempt(
                attempt,
                TaskState.WORKER_FAILED,
                at,
                spread(jitter, position),
                effects,
                finished_at=at,
                error=reason,
                logs_complete=False,
                given_up=True,
            )
        self._fleet.remove(worker, at)
        effects.workers[worker.record.worker_id] = None
        effects.reschedule = True

    def health_changed(self, event: events.WorkerHealthChanged, effects: Effects) -> None:
        """A worker is well no more, or again."""
        worker = self._fleet.get(event.worker_id)
        if worker is not None and worker.record.incarnation_id == event.incarnation_id:
            self._note(worker, replace(worker.record, problems=event.problems), effects)

    def drain_changed(self, event: events.WorkerDrainChanged, effects: Effects) -> None:
        """A user wants a worker to take no new work, or to take work again. Raises NotFound."""
        worker = self._fleet.get(event.worker_id)
        if worker is None:
            raise NotFound(
                f"There is no worker {event.worker_id}.",
                hint="`iris cluster status` shows those there are.",
            )
        self._note(worker, replace(worker.record, drained=event.drain), effects)

    def _note(self, worker: Worker, record: WorkerRecord, effects: Effects) -> None:
        if record != worker.record:
            self._fleet.note(worker, record)
            effects.workers[record.worker_id] = None
            effects.reschedule = True

    def draining(self, event: events.SliceDraining, effects: Effects) -> None:
        """A slice gets no more work."""
        self._fleet.drain(event.slice_id)
        effects.reschedule = True

    def slice_gone(self, event: events.SliceGone, effects: Effects) -> None:
        """A slice no longer exists."""
        for position, worker_id in enumerate(self._fleet.in_slice(event.slice_id)):
            worker = self._fleet.get(worker_id)
            if worker is not None:
                jitter = spread(event.jitter, position * 31)
                self._lose(worker, event.reason, event.at, jitter, effects)
        self._fleet.forget_slice(event.slice_id)
