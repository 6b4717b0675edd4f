"""What goes into the store in one transaction, and what comes out of it at a start."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord, WorkerRecord
from iris.model.ids import JobId, WorkerId


@dataclass(frozen=True, slots=True)
class Changes:
    """Records as they are now, of everything that a turn touched.

    Attributes:
        jobs: One whose number is not below the stored next number is new; its specification is
            written once, with it.
        tasks: Those that are as new (`TaskRecord(index)`) are not stored.
        pruned: These jobs go, with all tasks and attempts, before the rest is written: one that
            takes the name of another stands here and in `jobs`. Ids that are not stored are
            passed over.
        next_number: What the next job's number is at least. It never goes back.
    """

    jobs: tuple[JobRecord, ...] = ()
    tasks: tuple[tuple[JobId, TaskRecord], ...] = ()
    attempts: tuple[AttemptRecord, ...] = ()
    workers: tuple[WorkerRecord, ...] = ()
    gone_workers: tuple[WorkerId, ...] = ()
    pruned: tuple[JobId, ...] = ()
    next_number: int = 1


@dataclass(frozen=True, slots=True)
class Recovered:
    """Everything there is.

    Attributes:
        jobs: In the order of their numbers.
        tasks: By job, in order of their index. Tasks that nothing happened to yet are not stored
            and not named here.
        attempts: Each task's oldest first.
        next_number: The number of the next job: more than that of any job there ever was.
    """

    jobs: tuple[JobRecord, ...] = ()
    tasks: Mapping[JobId, tuple[TaskRecord, ...]] = field(default_factory=dict)
    attempts: tuple[AttemptRecord, ...] = ()
    workers: tuple[WorkerRecord, ...] = ()
    next_number: int = 1
