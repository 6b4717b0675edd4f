"""What goes into the store in one transaction, and what comes out of it at a start."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord, WorkerRecord
from iris.model.ids import JobId, WorkerId


@dataclass(frozen=True, slots=True)
class Changes:
    """Records as they are now, of everything that a turn touched."""

    jobs: tuple[JobRecord, ...] = ()
    tasks: tuple[tuple[JobId, TaskRecord], ...] = ()
    attempts: tuple[AttemptRecord, ...] = ()
    workers: tuple[WorkerRecord, ...] = ()
    gone_workers: tuple[WorkerId, ...] = ()


@dataclass(frozen=True, slots=True)
class Recovered:
    """Everything there is.

    Attributes:
        jobs: In the order of their numbers.
        tasks: By job, in order of their index. Tasks that nothing happened to yet are not stored
            and not named here.
    """

    jobs: tuple[JobRecord, ...] = ()
    tasks: Mapping[JobId, tuple[TaskRecord, ...]] = field(default_factory=dict)
    attempts: tuple[AttemptRecord, ...] = ()
    workers: tuple[WorkerRecord, ...] = ()
