"""For tests: workers, waiting work and running work in few words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from iris.model.constraints import Constraint
from iris.model.ids import AttemptUid, JobId, TaskId, WorkerId, user_of
from iris.model.job import Gang
from iris.model.priority import PriorityBand
from iris.model.resources import GIB, Resources
from iris.model.taints import Toleration
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

ONE_CORE = Resources(1000)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRODUCTION, INTERACTIVE, BATCH = PriorityBand
CHIP = "tpu/v5litepod-16"


def cores(count: float, *, ports: int = 0, chips: int = 0, memory: int = 0) -> Resources:
    """So many cores, and what else is named; memory in GiB."""
    accelerators = ((CHIP, chips),) if chips else ()
    return Resources(int(count * 1000), memory * GIB, 0, accelerators, ports)


def worker(
    name: str,
    free: float = 4,
    *,
    total: Resources | None = None,
    amount: Resources | None = None,
    releasing: Resources | None = None,
    refuses: str = "",
    **attributes: str,
) -> WorkerView:
    """A worker with so many free cores (or `amount`); `_` in an attribute's name stands for `-`,
    `__` for `/`.
    """
    has = amount if amount is not None else cores(free)
    return WorkerView(
        WorkerId(name),
        total if total is not None else has,
        has,
        {key.replace("__", "/").replace("_", "-"): value for key, value in attributes.items()},
        not refuses,
        refuses,
        releasing or Resources(),
    )


@dataclass(frozen=True)
class Waits:
    """A job that waits.

    Attributes:
        avoid: By task.
        minutes: It is gone so long after it was placed.
    """

    job_id: str
    tasks: int = 1
    need: Resources = ONE_CORE
    band: PriorityBand = INTERACTIVE
    constraints: tuple[Constraint, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    group_by: str = ""
    avoid: Mapping[int, Iterable[str]] | None = None
    minutes: float | None = None

    @property
    def request(self) -> Request:
        """What its tasks ask for."""
        gang = Gang(self.group_by) if self.group_by else None
        size = self.tasks if gang is not None else 0
        return Request(self.need, self.constraints, self.tolerations, gang, size)

    def pending(self, number: int) -> PendingJob:
        """For the scheduler."""
        avoid = self.avoid or {}
        tasks = [
            ReadyTask(
                TaskId(f"{self.job_id}/{index}"),
                frozenset(WorkerId(name) for name in avoid.get(index, ())),
            )
            for index in range(self.tasks)
        ]
        lasts = timedelta(minutes=self.minutes) if self.minutes is not None else None
        return PendingJob(JobId(self.job_id), number, tasks, lasts)


def gang(job_id: str, tasks: int, need: Resources, by: str = "slice-id", **more: object) -> Waits:
    """A gang that waits."""
    return replace(Waits(job_id, tasks, need, group_by=by), **more)  # type: ignore[arg-type]


def classes_of(jobs: Sequence[Waits]) -> tuple[PendingClass, ...]:
    """Jobs in the order in which they were submitted, as classes."""
    found: dict[tuple[PriorityBand, str, Request], list[tuple[PendingJob, int]]] = {}
    for number, job in enumerate(jobs, start=1):
        key = (job.band, user_of(JobId(job.job_id)), job.request)
        found.setdefault(key, []).append((job.pending(number), job.tasks))
    return tuple(
        PendingClass(
            band,
            user,
            request,
            [job for job, _ in of_class],
            of_class[0][0].number,
            sum(tasks for _, tasks in of_class),
        )
        for (band, user, request), of_class in found.items()
    )


@dataclass(frozen=True)
class Runs:
    """An attempt that runs.

    Attributes:
        minutes: For so long already.
        left: It is gone in so many minutes at the latest; None: nobody knows.
    """

    worker: str
    job_id: str
    need: Resources = ONE_CORE
    band: PriorityBand = BATCH
    gang: bool = False
    minutes: float = 10
    left: float | None = None
    stopping: bool = False
    uid: str = ""

    def occupant(self, position: int) -> Occupant:
        """For the scheduler."""
        return Occupant(
            AttemptUid(self.uid or f"{self.job_id}.{position}"),
            JobId(self.job_id),
            user_of(JobId(self.job_id)),
            self.band,
            self.need,
            self.gang,
            NOW - timedelta(minutes=self.minutes),
            NOW + timedelta(minutes=self.left) if self.left is not None else None,
            self.stopping,
        )


class FixedWork:
    """See iris.scheduler.snapshot.Work: attempts in the order in which they came."""

    def __init__(self, attempts: Iterable[tuple[WorkerId, Occupant]] = ()) -> None:
        self.attempts = list(attempts)

    def on(self, worker_id: WorkerId) -> Sequence[Occupant]:
        """See Work."""
        return [one for where, one in self.attempts if where == worker_id]

    def of_job(self, job_id: JobId) -> Sequence[tuple[WorkerId, Occupant]]:
        """See Work."""
        return [(where, one) for where, one in self.attempts if one.job_id == job_id]

    def below(self, band: PriorityBand) -> Iterable[WorkerId]:
        """See Work."""
        later = (where for where, one in self.attempts if band.may_preempt(one.band))
        return dict.fromkeys(later)


def occupied(views: Iterable[WorkerView], runs: Sequence[Runs]) -> tuple[WorkerView, ...]:
    """Workers (with all of their room free) as they are when these attempts run on them."""
    found = []
    for view in views:
        mine = [one for one in runs if one.worker == view.worker_id]
        free, releasing = view.total, Resources()
        for one in mine:
            free -= one.need
            releasing += one.need if one.stopping else Resources()
        found.append(replace(view, free=free, releasing=releasing))
    return tuple(found)


def usage_of(runs: Iterable[Runs]) -> dict[tuple[str, PriorityBand], Resources]:
    """What users hold."""
    usage: dict[tuple[str, PriorityBand], Resources] = {}
    for one in runs:
        key = (user_of(JobId(one.job_id)), one.band)
        usage[key] = usage.get(key, Resources()) + one.need
    return usage


def snapshot_of(
    workers: Iterable[WorkerView],
    jobs: Sequence[Waits] = (),
    runs: Sequence[Runs] = (),
    *,
    policy: SchedulingPolicy | None = None,
    reservations: tuple[Reservation, ...] = (),
    now: datetime = NOW,
) -> Snapshot:
    """All of it; what runs is taken off the workers' room."""
    return Snapshot(
        now=now,
        workers=occupied(workers, runs) if runs else tuple(workers),
        classes=classes_of(jobs),
        work=FixedWork((WorkerId(one.worker), one.occupant(n)) for n, one in enumerate(runs)),
        usage=usage_of(runs),
        reservations=reservations,
        policy=policy or SchedulingPolicy(),
    )


def places(schedule: Schedule) -> dict[str, str]:
    """Where each placed task goes."""
    return {str(one.task_id): str(one.worker_id) for one in schedule.placements}


def stopped(schedule: Schedule) -> set[str]:
    """The attempts that have to make room."""
    return {str(one.attempt_uid) for one in schedule.preemptions}
