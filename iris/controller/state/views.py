"""What others are shown of the state: the scheduler's snapshot, the autoscaler's fleet, and why a
task waits.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from iris.autoscaler.demand import Demand, SliceOccupancy
from iris.controller.state.fleet import Fleet, Place
from iris.controller.state.job import Job
from iris.controller.state.machine import ControllerState
from iris.controller.state.queue import ClassKey, longest_run
from iris.model.constraints import required
from iris.model.ids import AttemptUid, JobId, SliceId, WorkerId
from iris.model.pending import PendingCode, PendingReason
from iris.model.priority import PriorityBand
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.snapshot import Occupant, Reservation, Schedule, Snapshot, Unplaced

# Of one class, so many gangs at most are told to the autoscaler: more than it could buy for.
_MOST_GANGS = 1_000


def snapshot(
    state: ControllerState,
    now: datetime,
    policy: SchedulingPolicy,
    reservations: tuple[Reservation, ...] = (),
) -> Snapshot:
    """Everything that the scheduler may know. It is not to be used once the state has changed:
    parts of it are looked up when they are asked for.
    """
    return Snapshot(
        now=now,
        workers=state.fleet.views(),
        classes=state.jobs.waiting.classes(),
        work=_RunningWork(state),
        usage=state.fleet.usage,
        reservations=reservations,
        policy=policy,
    )


class _RunningWork:
    """See iris.scheduler.snapshot.Work."""

    def __init__(self, state: ControllerState) -> None:
        self._state = state

    def on(self, worker_id: WorkerId) -> Sequence[Occupant]:
        """See Work."""
        worker = self._state.fleet.get(worker_id)
        attempts = worker.attempts.items() if worker is not None else ()
        return [self._occupant(uid, place) for uid, place in attempts]

    def of_job(self, job_id: JobId) -> Sequence[tuple[WorkerId, Occupant]]:
        """See Work."""
        job = self._state.jobs.get(job_id)
        found: list[tuple[WorkerId, Occupant]] = []
        for task in job.tasks if job is not None else ():
            attempt = self._state.jobs.attempt(task.attempt_uid) if task.attempt_uid else None
            worker = self._state.fleet.get(attempt.worker_id) if attempt is not None else None
            if attempt is not None and worker is not None and attempt.uid in worker.attempts:
                occupant = self._occupant(attempt.uid, worker.attempts[attempt.uid])
                found.append((attempt.worker_id, occupant))
        return found

    def below(self, band: PriorityBand) -> Iterator[WorkerId]:
        """See Work. Those with work of the latest band come first."""
        seen: set[WorkerId] = set()
        for other in reversed(PriorityBand):
            if band.may_preempt(other):
                for worker_id in self._state.fleet.with_band(other):
                    if worker_id not in seen:
                        seen.add(worker_id)
                        yield worker_id

    def _occupant(self, uid: AttemptUid, place: Place) -> Occupant:
        return Occupant(
            uid,
            place.job_id,
            place.user,
            place.band,
            place.resources,
            place.in_gang,
            place.since,
            self._ends_by(uid),
            place.stopping,
        )

    def _ends_by(self, uid: AttemptUid) -> datetime | None:
        attempt = self._state.jobs.attempt(uid)
        job = self._state.jobs.get(attempt.job_id) if attempt is not None else None
        if job is None or job.record.placed_at is None:
            return None
        lasts = longest_run(job.record.spec, self._state.stop_grace)
        return job.record.placed_at + lasts if lasts is not None else None


def demand_of(job: Job, tasks: int) -> Demand:
    """So many tasks of a job, and of others that ask for the same, as demand for capacity."""
    spec = job.record.spec
    return Demand(
        job.job_id,
        spec.resources,
        required(spec.constraints),
        spec.gang,
        tasks,
        spec.tolerations,
        spec.priority,
    )


def unmet_demand(state: ControllerState, schedule: Schedule) -> tuple[Demand, ...]:
    """What the scheduler could not place for want of machines, in the order of service."""
    return tuple(demand for one in schedule.unplaced for demand in _demands(state, one, schedule))


def _demands(state: ControllerState, one: Unplaced, schedule: Schedule) -> Iterator[Demand]:
    key = _key(one)
    waiting = state.jobs.waiting
    size = one.request.gang_size
    if not size:
        tasks = min(waiting.tasks_of(key), one.within_budget) - one.waits_for_stop
        if tasks > 0:
            yield demand_of(_first(state, one), tasks)
        return
    gangs = (
        job for job in waiting.of(key) if not _room_is_coming(schedule.job_reasons.get(job.job_id))
    )
    left = (one.within_budget - one.waits_for_stop) // size
    for job in islice(gangs, max(0, min(left, _MOST_GANGS))):
        yield demand_of(job, size)


def _first(state: ControllerState, one: Unplaced) -> Job:
    """The job that a class's demand is named after. Some of the class waits."""
    named = state.jobs.get(one.job_id)
    if named is not None and named.queued and named.job_class.key == _key(one):
        return named
    return next(iter(state.jobs.waiting.of(_key(one))))


def _key(one: Unplaced) -> ClassKey:
    return one.band, one.user, one.request


def _room_is_coming(reason: PendingReason | None) -> bool:
    return reason is not None and reason.code is PendingCode.WAITS_FOR_STOP


def occupancy(fleet: Fleet) -> Mapping[SliceId, SliceOccupancy]:
    """Every slice that has workers."""
    return fleet.occupancy()


def reason_for(
    job: Job, index: int, job_reason: PendingReason | None, now: datetime
) -> PendingReason:
    """Why a PENDING task waits; `job_reason` holds for all tasks of the job that could start."""
    task = job.tasks[index]
    if index not in job.ready and task.not_before is not None:
        seconds = max(0.0, (task.not_before - now).total_seconds())
        return PendingReason(
            PendingCode.RETRY_DELAY,
            subject=f"attempt {task.attempts}",
            nearest=f"in {seconds:.1f} s",
            hint=f"The last one: {task.error}." if task.error else "",
        )
    if job.is_gang and not job.is_startable:
        return PendingReason(
            PendingCode.GANG_INCOMPLETE,
            subject=job.record.spec.gang.group_by if job.record.spec.gang else "",
            hint="It is placed once all of its members have stopped and their delays are over.",
        )
    return job_reason or PendingReason(PendingCode.WAITING_FOR_SCHEDULER)
