"""What a cluster answers, as values: jobs, tasks, attempts, log lines, groups and health. Times are
aware, in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from iris.model.fleet import Slice
from iris.model.health import HealthProblem
from iris.model.ids import AttemptUid, JobId, SliceId, TaskId, WorkerId
from iris.model.job import JobSpec
from iris.model.pending import PendingReason
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.states import JobState, TaskState


@dataclass(frozen=True, slots=True)
class UsageView:
    """What an attempt's process tree uses, or used."""

    cpu_seconds: float
    memory_bytes: int
    peak_memory_bytes: int
    processes: int
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class OutputView:
    """A folder that a task has published. `size_bytes` is that of the bundle's archive."""

    name: str
    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EndpointView:
    """Where a task that runs can be reached. `name` is `<job>/<name>`; tasks may share one."""

    name: str
    address: str
    metadata: Mapping[str, str]
    task_id: TaskId
    attempt_uid: AttemptUid


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One run of a task on one worker.

    Attributes:
        number: Within the task; 0 is the first.
        exit_code: None while it runs, and for one that a signal ended or that never started.
        error: Why it ended badly, where the exit code does not say it.
        logs_complete: False when it ended before all of its log lines had arrived.
        stop_reason: Why it was told to stop; empty if it was not.
    """

    attempt_uid: AttemptUid
    number: int
    worker_id: WorkerId
    state: TaskState
    exit_code: int | None = None
    signal: int | None = None
    error: str = ""
    assigned_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    usage: UsageView | None = None
    logs_complete: bool = True
    ports: tuple[tuple[str, int], ...] = ()
    stop_reason: str = ""
    outputs: tuple[OutputView, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskView:
    """One of a job's replicas. `pending` says why it does not run; None once it does."""

    task_id: TaskId
    index: int
    state: TaskState
    pending: PendingReason | None = None
    attempts: tuple[AttemptView, ...] = ()
    failures: int = 0
    preemptions: int = 0

    @property
    def last_attempt(self) -> AttemptView | None:
        """The latest run; None before the first."""
        return self.attempts[-1] if self.attempts else None


@dataclass(frozen=True, slots=True)
class JobView:
    """A job at one moment.

    Attributes:
        counts: How many of its tasks are in each state; covers all tasks, no zeros.
        tasks: Those that were asked for, by index; none in lists of jobs.
        version: Grows with every change of the job.
        placed_at: When its first task was first placed.
        retries: Over all tasks.
    """

    job_id: JobId
    spec: JobSpec
    state: JobState
    error: str = ""
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    counts: tuple[tuple[TaskState, int], ...] = ()
    tasks: tuple[TaskView, ...] = ()
    version: int = 0
    placed_at: datetime | None = None
    retries: int = 0

    def count(self, *states: TaskState) -> int:
        """How many tasks are in one of these states."""
        return sum(tasks for state, tasks in self.counts if state in states)


@dataclass(frozen=True, slots=True)
class WaitingTasks:
    """Tasks of a job that wait for one and the same reason; `first_index` is the first of them."""

    reason: PendingReason
    tasks: int
    first_index: int


@dataclass(frozen=True, slots=True)
class ExplanationView:
    """Where a job stands and why.

    Attributes:
        counts: How many of its tasks are in each state; no zeros.
        waiting: Why tasks wait.
        error: Why it did not succeed, or is being ended.
        next_retry_at: When the next of its delayed retries may start.
        unschedulable_at: When a task that has never been placed makes it UNSCHEDULABLE.
        times_out_at: When it has had its time.
        summary: All of it in one sentence.
        parent: The job that it ends with; None for one that has no parent, or outlives it.
        children: Its child jobs that have not ended, oldest first; not all if there are many.
    """

    job_id: JobId
    state: JobState
    band: PriorityBand
    counts: tuple[tuple[TaskState, int], ...] = ()
    waiting: tuple[WaitingTasks, ...] = ()
    error: str = ""
    submitted_at: datetime | None = None
    placed_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    next_retry_at: datetime | None = None
    unschedulable_at: datetime | None = None
    times_out_at: datetime | None = None
    retries: int = 0
    summary: str = ""
    parent: JobId | None = None
    children: tuple[JobId, ...] = ()


@dataclass(frozen=True, slots=True)
class BackUpView:
    """A copy of a controller's database, on the controller's machine."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Launched:
    """A submitted job. `created` is False when it was there already."""

    job: JobView
    created: bool


class LogStream(StrEnum):
    """Who wrote a log line."""

    STDOUT = "stdout"
    STDERR = "stderr"
    BUILD = "build"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of one attempt's log.

    Attributes:
        attempt: The attempt's number within its task.
        index: Of the line within the attempt, from 0.
        data: As it was written, without the newline; need not be UTF-8.
    """

    task_id: TaskId
    attempt: int
    index: int
    at: datetime
    stream: LogStream
    data: bytes

    @property
    def text(self) -> str:
        """The line for people; bytes that are not UTF-8 are replaced."""
        return self.data.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class ScaleGroupView:
    """A kind of slice and those of it that exist. `problem` says why the group rests, if it does."""

    name: str
    platform: str
    vm: Resources
    vms_per_slice: int
    min_slices: int
    max_slices: int
    priority: int
    accelerator_variant: str = ""
    slices: tuple[Slice, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker. `isolation` says how it contains its tasks, `problems` why it is not well."""

    worker_id: WorkerId
    incarnation_id: str
    slice_id: SliceId
    scale_group: str
    total: Resources
    free: Resources
    attributes: tuple[tuple[str, str], ...] = ()
    connected: bool = True
    draining: bool = False
    attempts: int = 0
    last_seen: datetime | None = None
    isolation: str = ""
    problems: tuple[HealthProblem, ...] = ()

    @property
    def state(self) -> str:
        """In one word: whether it takes work and, if not, why."""
        if self.draining:
            return "draining"
        if not self.connected:
            return "silent"
        return "unhealthy" if self.problems else "connected"


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One decision of the autoscaler. `action` and `reason` are for people ("scale up", "demand")."""

    at: datetime
    action: str
    reason: str
    scale_group: str = ""
    slice_id: SliceId | None = None
    job_id: JobId | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class BudgetView:
    """What one machine lends to its cluster, and what its slices hold of that."""

    total: Resources
    reserved: Resources
    oversubscribed: bool = False


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A cluster at one moment. `machine` is None unless its platform is the machine it runs on; `fault_injection`:
    things may be broken on purpose.
    """

    cluster: str
    version: str
    started_at: datetime | None
    groups: tuple[ScaleGroupView, ...] = ()
    workers: tuple[WorkerView, ...] = ()
    decisions: tuple[DecisionView, ...] = ()
    machine: BudgetView | None = None
    jobs_active: int = 0
    tasks_pending: int = 0
    tasks_running: int = 0
    fault_injection: bool = False


@dataclass(frozen=True, slots=True)
class HealthView:
    """What a controller says of itself."""

    cluster: str
    version: str
    incarnation_id: str
    started_at: datetime | None
    healthy: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class UploadedBundle:
    """A folder that the cluster has as a bundle.

    Attributes:
        files: In the bundle.
        content_bytes: Of all files together.
        sent: False when the cluster had it already and nothing was sent.
    """

    digest: str
    files: int
    content_bytes: int
    sent: bool
