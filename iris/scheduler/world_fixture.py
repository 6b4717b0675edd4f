"""For property tests: a small cluster that does what schedules say, pass after pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from iris.model.ids import AttemptUid, JobId, TaskId, WorkerId, job_of, user_of
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.snapshot import (
    Occupant,
    PendingClass,
    PendingJob,
    ReadyTask,
    Request,
    Reservation,
    Schedule,
    Snapshot,
    WorkerView,
)
from iris.scheduler.work_fixture import NOW, FixedWork, Runs, Waits


@dataclass
class _Waiting:
    """A job, and its tasks that have not been placed."""

    job: Waits
    number: int
    tasks: Sequence[ReadyTask]


class World:
    """Workers (all of whose room is theirs to give), what runs there, what waits, and the time.

    A worker that has not changed is the same object in each snapshot. Who is preempted does not
    come back. Nothing ends by itself but in `pass_time`.
    """

    def __init__(
        self,
        fleet: Sequence[WorkerView],
        jobs: Sequence[Waits] = (),
        runs: Sequence[Runs] = (),
        policy: SchedulingPolicy | None = None,
    ) -> None:
        self.now = NOW
        self.policy = policy or SchedulingPolicy()
        self.reservations: tuple[Reservation, ...] = ()
        self.attempts: list[tuple[WorkerId, Occupant]] = [
            (WorkerId(one.worker), one.occupant(number)) for number, one in enumerate(runs)
        ]
        self.waiting: dict[JobId, _Waiting] = {}
        self.fleet = {view.worker_id: view for view in fleet}
        self._shown: dict[WorkerId, WorkerView] = {}
        self._submitted = 0
        for job in jobs:
            self.submit(job)

    def submit(self, job: Waits) -> None:
        """One more job waits."""
        self._submitted += 1
        tasks = job.pending(self._submitted).tasks
        self.waiting[JobId(job.job_id)] = _Waiting(job, self._submitted, tasks)

    def snapshot(self) -> Snapshot:
        """As it is now."""
        return Snapshot(
            now=self.now,
            workers=tuple(self._view(worker_id) for worker_id in self.fleet),
            classes=self._classes(),
            work=FixedWork(self.attempts),
            usage=self._usage(),
            reservations=tuple(one for one in self.reservations if one.job_id in self.waiting),
            policy=self.policy,
        )

    def do(self, answer: Schedule) -> None:
        """Attempts are made and told to stop, reservations noted."""
        for place in answer.placements:
            left = self.waiting[job_of(place.task_id)]
            left.tasks = [task for task in left.tasks if task.task_id != place.task_id]
            if not left.tasks:
                del self.waiting[job_of(place.task_id)]
            self.attempts.append((place.worker_id, self._attempt(left.job, place.task_id)))
        stopped = {one.attempt_uid for one in answer.preemptions}
        self.attempts = [
            (where, replace(one, stopping=True) if one.attempt_uid in stopped else one)
            for where, one in self.attempts
        ]
        self.reservations = answer.reservations

    def finish_stops(self) -> None:
        """What is being stopped is gone."""
        self.attempts = [pair for pair in self.attempts if not pair[1].stopping]

    def pass_time(self, minutes: float) -> None:
        """What ends by then is gone, and not a moment earlier."""
        self.now += timedelta(minutes=minutes)
        self.attempts = [
            (where, one)
            for where, one in self.attempts
            if one.ends_by is None or one.ends_by > self.now
        ]

    def _attempt(self, job: Waits, task_id: TaskId) -> Occupant:
        lasts = timedelta(minutes=job.minutes) if job.minutes is not None else None
        return Occupant(
            AttemptUid(f"{task_id}@"),
            JobId(job.job_id),
            user_of(JobId(job.job_id)),
            job.band,
            job.need,
            bool(job.group_by),
            self.now,
            None if lasts is None else self.now + lasts,
        )

    def _view(self, worker_id: WorkerId) -> WorkerView:
        view, releasing = self.fleet[worker_id], Resources()
        free = view.total
        for where, one in self.attempts:
            if where == worker_id:
                free -= one.resources
                releasing += one.resources if one.stopping else Resources()
        new, old = replace(view, free=free, releasing=releasing), self._shown.get(worker_id)
        self._shown[worker_id] = old if old == new and old is not None else new
        return self._shown[worker_id]

    def _classes(self) -> tuple[PendingClass, ...]:
        found: dict[tuple[PriorityBand, str, Request], list[PendingJob]] = {}
        for job_id, left in self.waiting.items():
            pending = replace(left.job.pending(left.number), tasks=left.tasks)
            key = (left.job.band, user_of(job_id), left.job.request)
            found.setdefault(key, []).append(pending)
        return tuple(
            PendingClass(*key, jobs, jobs[0].number, sum(len(job.tasks) for job in jobs))
            for key, jobs in found.items()
        )

    def _usage(self) -> dict[tuple[str, PriorityBand], Resources]:
        usage: dict[tuple[str, PriorityBand], Resources] = {}
        for _, one in self.attempts:
            key = (one.user, one.band)
            usage[key] = usage.get(key, Resources()) + one.resources
        return usage
