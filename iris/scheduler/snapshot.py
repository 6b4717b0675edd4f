"""What the scheduler sees, and what it answers: values only."""

from collections.abc import Mapping
from dataclasses import dataclass

from iris.model.constraints import Constraint
from iris.model.ids import JobId, TaskId, WorkerId
from iris.model.job import Gang
from iris.model.pending import PendingReason
from iris.model.resources import Resources


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker at this moment.

    Attributes:
        free: What no attempt has been given.
        accepting: Whether it takes new work; if not, `not_accepting` says why ("draining",
            "silent").
    """

    worker_id: WorkerId
    total: Resources
    free: Resources
    attributes: Mapping[str, str]
    accepting: bool = True
    not_accepting: str = ""


@dataclass(frozen=True, slots=True)
class ReadyTask:
    """A task that may start now. `avoid` are workers on which it failed before; they are used only
    if no other fits.
    """

    task_id: TaskId
    avoid: frozenset[WorkerId] = frozenset()


@dataclass(frozen=True, slots=True)
class PendingJob:
    """The tasks of one job that may start now; they all ask for the same.

    For a gang, `tasks` are all of its tasks or the job is not listed at all.
    """

    job_id: JobId
    resources: Resources
    constraints: tuple[Constraint, ...]
    gang: Gang | None
    tasks: tuple[ReadyTask, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the scheduler may know. `jobs` are in the order in which they are to be served."""

    workers: tuple[WorkerView, ...]
    jobs: tuple[PendingJob, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """Run this task there."""

    task_id: TaskId
    worker_id: WorkerId


@dataclass(frozen=True, slots=True)
class Unplaced:
    """How many of a job's ready tasks found no place, and why the first of them did not."""

    job_id: JobId
    tasks: tuple[TaskId, ...]
    reason: PendingReason


@dataclass(frozen=True, slots=True)
class Schedule:
    """The answer. Placing all of `placements` at once exceeds no worker's free resources."""

    placements: tuple[Placement, ...]
    unplaced: tuple[Unplaced, ...]
