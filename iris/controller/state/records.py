"""What is known of each job, task, attempt and worker: values, replaced as a whole at every change.

Records are what the store keeps. What follows from them (free resources, counts, who is ready) is
worked out again when they are loaded.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from iris.model.health import HealthProblem
from iris.model.ids import AttemptUid, JobId, SliceId, TaskId, WorkerId, task_id
from iris.model.job import JobSpec
from iris.model.published import Endpoint, TaskOutput
from iris.model.resources import Resources
from iris.model.states import JobState, TaskState


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt's process tree uses, or used."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    peak_memory_bytes: int = 0
    processes: int = 0
    disk_bytes: int = 0


class StopIntent(Enum):
    """What becomes of the task whose attempt is being stopped."""

    RESTART = "the gang is placed anew"
    KILL = "the task ends"
    PREEMPT = "work of an earlier band takes its place; the task is placed anew"
    TIMEOUT = "the job has had its time; the task has failed"


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job.

    Attributes:
        number: Jobs are counted as they are submitted, from 1. Never used again, also not after a
            job was pruned.
        request_id: Of the submission; may be empty.
        error: Why it did not succeed, or was terminated.
        placed_at: When its first task was first placed; `timeout` counts from then.
        timed_out: It was ended because it had had its time.
        retries: Over all tasks; a gang's restart counts once.
        version: Grows with every change of the job or of anything of it.
    """

    job_id: JobId
    number: int
    spec: JobSpec
    submitted_at: datetime
    state: JobState = JobState.PENDING
    error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    retries: int = 0
    version: int = 0
    request_id: str = ""
    placed_at: datetime | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task of some job.

    Attributes:
        attempts: How many there were; the next one's number.
        attempt_uid: The latest attempt.
        not_before: A PENDING task waits until then.
        avoid: Workers on which it failed lately, latest last.
    """

    index: int
    state: TaskState = TaskState.PENDING
    failures: int = 0
    preemptions: int = 0
    attempts: int = 0
    attempt_uid: AttemptUid | None = None
    not_before: datetime | None = None
    avoid: tuple[WorkerId, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One run of a task on one worker.

    Attributes:
        number: 0 is the task's first.
        given_up: It ended because its worker was lost. Until that worker tells its end, it may
            still be there.
        stop: Why it was told to stop, if it was; `stop_reason` says it for people.
        endpoints: Where it can, or could, be reached, in order of their names.
        outputs: What it published, in order of their names.
    """

    uid: AttemptUid
    job_id: JobId
    index: int
    number: int
    worker_id: WorkerId
    incarnation_id: str
    assigned_at: datetime
    state: TaskState = TaskState.ASSIGNED
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    error: str = ""
    usage: Usage | None = None
    logs_complete: bool = True
    ports: tuple[tuple[str, int], ...] = field(default=())
    stop: StopIntent | None = None
    stop_reason: str = ""
    given_up: bool = False
    endpoints: tuple[Endpoint, ...] = ()
    outputs: tuple[TaskOutput, ...] = ()

    @property
    def task_id(self) -> TaskId:
        """The task that this is an attempt of."""
        return task_id(self.job_id, self.index)

    def describe_end(self) -> str:
        """How it ended, for people: `exit code 3`, and what there is to say about it."""
        if self.signal is not None:
            how = f"signal {self.signal}"
        elif self.exit_code is not None:
            how = f"exit code {self.exit_code}"
        else:
            return self.error or self.state.value
        return f"{how} ({self.error})" if self.error else how


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker that is not known to be gone.

    Attributes:
        problems: Why it is not well, as it said itself; none if it is.
        drained: A user wants it to take no new work.
    """

    worker_id: WorkerId
    incarnation_id: str
    slice_id: SliceId
    scale_group: str
    total: Resources
    attributes: tuple[tuple[str, str], ...]
    host: str
    isolation: str
    version: str
    attached_at: datetime
    problems: tuple[HealthProblem, ...] = ()
    drained: bool = False
