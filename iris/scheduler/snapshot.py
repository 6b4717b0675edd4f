"""What the scheduler sees, and what it answers: values only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from iris.model.constraints import Constraint
from iris.model.ids import AttemptUid, JobId, TaskId, WorkerId
from iris.model.job import Gang
from iris.model.pending import PendingReason
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.taints import Toleration
from iris.scheduler.policy import SchedulingPolicy

_NOTHING = Resources()


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker at this moment.

    Whoever makes snapshots hands in the same object again as long as the worker has not changed:
    that is how a scheduler that is asked again finds out what is new.

    Attributes:
        free: What no attempt has been given.
        releasing: What attempts hold that are being stopped, and so will be free soon.
        attributes: Its taints are among them (see iris.model.taints).
        accepting: Whether it takes new work; if not, `not_accepting` says why ("draining",
            "silent", "unhealthy").
        problem: What makes it unhealthy, for people.
    """

    worker_id: WorkerId
    total: Resources
    free: Resources
    attributes: Mapping[str, str]
    accepting: bool = True
    not_accepting: str = ""
    releasing: Resources = _NOTHING
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ReadyTask:
    """A task that may start now. `avoid` are workers on which it failed before; they are used only
    if no other fits.
    """

    task_id: TaskId
    avoid: frozenset[WorkerId] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    """What tasks ask for. Tasks of one user and band with the same request are interchangeable: if
    one finds no place, none of the others does.

    Attributes:
        gang_size: Tasks of the gang; 0 without one.
    """

    resources: Resources
    constraints: tuple[Constraint, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    gang: Gang | None = None
    gang_size: int = 0


@dataclass(frozen=True, slots=True)
class PendingJob:
    """The tasks of one job that may start now.

    For a gang, `tasks` are all of its tasks, in order of their indices, or the job is not listed at
    all.

    Attributes:
        number: Jobs are counted as they are submitted; the order in which one user's are served.
        lasts: An attempt that is placed now is gone after this long at the latest (the job's
            timeout and what stopping takes); None: nobody knows.
        ends_by: For a job that has begun: when its attempts are gone at the latest. Goes before
            `lasts`.
    """

    job_id: JobId
    number: int
    tasks: Sequence[ReadyTask]
    lasts: timedelta | None = None
    ends_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class PendingClass:
    """Everything that one user has waiting in one band and that asks for the same.

    Attributes:
        jobs: In order of their numbers. Made as they are looked at; may be looked at repeatedly.
        first: The number of the first job.
        tasks: Of all jobs together.
    """

    band: PriorityBand
    user: str
    request: Request
    jobs: Iterable[PendingJob]
    first: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Occupant:
    """An attempt that holds room on a worker.

    Attributes:
        in_gang: Whether it can only go together with the rest of its job.
        since: When it was placed.
        ends_by: When it is gone at the latest; None: nobody knows.
        stopping: It has been told to stop already.
    """

    attempt_uid: AttemptUid
    job_id: JobId
    user: str
    band: PriorityBand
    resources: Resources
    in_gang: bool
    since: datetime
    ends_by: datetime | None = None
    stopping: bool = False


class Work(Protocol):
    """What runs. Asked only where something has to make room, or to be waited for."""

    def on(self, worker_id: WorkerId) -> Sequence[Occupant]:
        """The attempts on one worker, in the order in which they came."""

    def of_job(self, job_id: JobId) -> Sequence[tuple[WorkerId, Occupant]]:
        """The attempts of one job, in order of their tasks' indices."""

    def below(self, band: PriorityBand) -> Iterable[WorkerId]:
        """The workers with at least one attempt of a later band than this, in a fixed order."""


class NoWork:
    """See Work: nothing runs."""

    def on(self, worker_id: WorkerId) -> Sequence[Occupant]:
        """None."""
        return ()

    def of_job(self, job_id: JobId) -> Sequence[tuple[WorkerId, Occupant]]:
        """None."""
        return ()

    def below(self, band: PriorityBand) -> Iterable[WorkerId]:
        """None."""
        return ()


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room that is kept for a gang that has to wait. A schedule makes them, and is handed those of
    the last one.

    Attributes:
        value: Of the gang's `group_by`: which group it waits for.
        workers: Where room is kept, for `size` members that need `each`.
        made_at: When it was first made for this job and group.
        expires_at: From then on it keeps nothing. It stays known for as long again, and the gang
            gets no new one meanwhile, so that others come to their turn.
        starts_by: When the gang starts at the latest, by what is known of the attempts in its way;
            None: nobody knows.
    """

    job_id: JobId
    band: PriorityBand
    value: str
    workers: tuple[WorkerId, ...]
    each: Resources
    size: int
    made_at: datetime
    expires_at: datetime
    starts_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the scheduler may know.

    Attributes:
        classes: Everything that may start, in no particular order.
        usage: What each user's attempts hold, by band. Also what is being stopped.
        reservations: Of the last schedule, in its order, without those of gangs that wait no more.
    """

    now: datetime
    workers: Sequence[WorkerView]
    classes: Sequence[PendingClass] = ()
    work: Work = field(default_factory=NoWork)
    usage: Mapping[tuple[str, PriorityBand], Resources] = field(default_factory=dict)
    reservations: tuple[Reservation, ...] = ()
    policy: SchedulingPolicy = field(default_factory=SchedulingPolicy)


@dataclass(frozen=True, slots=True)
class Placement:
    """Run this task there."""

    task_id: TaskId
    worker_id: WorkerId


@dataclass(frozen=True, slots=True)
class Preemption:
    """Stop this attempt so that `for_job` gets its place. A gang is preempted whole or not at all:
    each of its attempts is named.
    """

    attempt_uid: AttemptUid
    worker_id: WorkerId
    job_id: JobId
    for_job: JobId


@dataclass(frozen=True, slots=True)
class Unplaced:
    """What of one class found no place.

    Attributes:
        job_id: The first job of which that is so.
        reason: Why. It holds for every job of the class that is not in `Schedule.job_reasons`.
        waits_for_stop: Room for all of it comes as soon as what is being stopped is gone: no
            machine has to be bought for it.
        within_budget: How many of the class's unplaced tasks the user's budget has room for (of a
            gang all or none), besides other work of the user that room is coming for; more machines
            are of use for these alone.
    """

    band: PriorityBand
    user: str
    request: Request
    job_id: JobId
    reason: PendingReason
    waits_for_stop: int = 0
    within_budget: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """The answer. Placing all of `placements` at once exceeds no worker's free resources.

    Attributes:
        unplaced: One for each class of which anything found no place, in the order of service.
        job_reasons: For jobs whose reason is another one than their class's: gangs that hold room,
            and jobs for which work is being stopped.
        more: The policy's limit for one pass was reached: asking again at once places more.
        wake_at: When the same snapshot would give another answer (a reservation expires); None:
            never.
    """

    placements: tuple[Placement, ...] = ()
    preemptions: tuple[Preemption, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    job_reasons: Mapping[JobId, PendingReason] = field(default_factory=dict)
    reservations: tuple[Reservation, ...] = ()
    more: bool = False
    wake_at: datetime | None = None
