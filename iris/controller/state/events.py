"""Everything that can happen to a controller's state, as values. Time and chance come in as fields.

`at` is aware wall-clock time; `jitter` is a random number in [0, 1).
"""

from dataclasses import dataclass, field
from datetime import datetime

from iris.controller.state.records import Usage
from iris.model.health import HealthProblem
from iris.model.ids import AttemptUid, JobId, SliceId, TaskId, WorkerId
from iris.model.job import ExistingJobPolicy, JobSpec
from iris.model.published import Endpoint, TaskOutput
from iris.model.resources import Resources
from iris.model.states import TaskState


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """A user asked for a job, and nothing speaks against it.

    Attributes:
        request_id: Names the request, so that one that is sent again is known; may be empty.
        policy: What happens to a job of that name. REPLACE takes only one that has ended: whoever
            sends it ends the old one first.
    """

    at: datetime
    job_id: JobId
    spec: JobSpec
    request_id: str = ""
    policy: ExistingJobPolicy = ExistingJobPolicy.ERROR


@dataclass(frozen=True, slots=True)
class TerminateRequested:
    """A user wants a job ended."""

    at: datetime
    job_id: JobId
    reason: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """One task's next attempt and the worker that it was given to."""

    task_id: TaskId
    worker_id: WorkerId
    attempt_uid: AttemptUid


@dataclass(frozen=True, slots=True)
class TasksAssigned:
    """The scheduler placed these, all at once. A gang is in it whole or not at all."""

    at: datetime
    assignments: tuple[Assignment, ...]


@dataclass(frozen=True, slots=True)
class Preempted:
    """One attempt that has to make room, and for which job."""

    attempt_uid: AttemptUid
    for_job: JobId


@dataclass(frozen=True, slots=True)
class TasksPreempted:
    """The scheduler gives these attempts' places to work of an earlier band. Of a gang, all of its
    attempts are in it.
    """

    at: datetime
    preempted: tuple[Preempted, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """An attempt as its worker sees it.

    Attributes:
        state: BUILDING, RUNNING, SUCCEEDED, FAILED or KILLED.
        logs_complete: All lines that it wrote are here.
    """

    attempt_uid: AttemptUid
    state: TaskState
    exit_code: int | None = None
    signal: int | None = None
    error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    usage: Usage | None = None
    logs_complete: bool = True
    ports: tuple[tuple[str, int], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class AttemptObserved:
    """A worker told how one of its attempts stands."""

    at: datetime
    worker_id: WorkerId
    incarnation_id: str
    observation: Observation
    jitter: float


@dataclass(frozen=True, slots=True)
class WorkerAttached:
    """A worker dialled in, for the first time or again.

    Attributes:
        incarnation_id: Fresh for every start of the worker's process.
        running: Attempts that it has and that have not ended.
        ended: Attempts that ended and whose ends were not acknowledged.
        problems: Why it is not well; none if it is.
    """

    at: datetime
    worker_id: WorkerId
    incarnation_id: str
    slice_id: SliceId
    scale_group: str
    total: Resources
    attributes: tuple[tuple[str, str], ...]
    host: str
    isolation: str
    version: str
    running: tuple[AttemptUid, ...]
    ended: tuple[AttemptUid, ...]
    jitter: float
    problems: tuple[HealthProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerDetached:
    """A worker's stream broke. It may come back: its attempts stay its own."""

    at: datetime
    worker_id: WorkerId
    incarnation_id: str


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker is given up: it was silent for too long, or said that it leaves."""

    at: datetime
    worker_id: WorkerId
    incarnation_id: str
    reason: str
    jitter: float


@dataclass(frozen=True, slots=True)
class WorkerHealthChanged:
    """What a worker says of its health is something else now. While it has problems it takes no new
    work; what it runs goes on.
    """

    at: datetime
    worker_id: WorkerId
    incarnation_id: str
    problems: tuple[HealthProblem, ...]


@dataclass(frozen=True, slots=True)
class WorkerDrainChanged:
    """A user wants a worker to take no new work, or to take work again."""

    at: datetime
    worker_id: WorkerId
    drain: bool


@dataclass(frozen=True, slots=True)
class SliceDraining:
    """A slice is to be given back: it gets no more work."""

    at: datetime
    slice_id: SliceId


@dataclass(frozen=True, slots=True)
class SliceGone:
    """A slice's machines no longer exist."""

    at: datetime
    slice_id: SliceId
    reason: str
    jitter: float


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Something is due: the delay of a retry is over, or a job's timeout or scheduling_timeout."""

    at: datetime


@dataclass(frozen=True, slots=True)
class EndpointRegistered:
    """An attempt told where it can be reached; one of the same name is replaced."""

    at: datetime
    attempt_uid: AttemptUid
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class EndpointUnregistered:
    """An attempt can no longer be reached under that name."""

    at: datetime
    attempt_uid: AttemptUid
    name: str


@dataclass(frozen=True, slots=True)
class OutputPublished:
    """An attempt gave a folder to be kept; one of the same name is replaced."""

    at: datetime
    attempt_uid: AttemptUid
    output: TaskOutput


@dataclass(frozen=True, slots=True)
class JobsPruned:
    """These jobs have ended long ago and are forgotten, with their tasks and attempts. None of them
    has a child that has not ended or is not pruned with it.
    """

    at: datetime
    job_ids: tuple[JobId, ...]


Event = (
    JobSubmitted
    | TerminateRequested
    | TasksAssigned
    | TasksPreempted
    | AttemptObserved
    | WorkerAttached
    | WorkerDetached
    | WorkerLost
    | WorkerHealthChanged
    | WorkerDrainChanged
    | SliceDraining
    | SliceGone
    | TimePassed
    | EndpointRegistered
    | EndpointUnregistered
    | OutputPublished
    | JobsPruned
)
