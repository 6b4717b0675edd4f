"""What an event did: which records it touched, and what the workers have to be told."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from iris.model.ids import AttemptUid, JobId, WorkerId


@dataclass(slots=True)
class Effects:
    """Collected over the events of one turn; the dicts are sets that keep their order.

    Attributes:
        submitted: Jobs that are new.
        jobs: Jobs of which anything changed.
        tasks: (job, index) of the tasks whose records changed.
        workers: Workers whose records changed or are gone.
        run: Attempts that were given to a worker.
        stop: Attempts that a worker has to stop.
        acknowledge: Attempts whose ends the controller has for good once this is stored.
        reschedule: Something changed that may change a placement or the reason for having none.
    """

    submitted: dict[JobId, None] = field(default_factory=dict)
    jobs: dict[JobId, None] = field(default_factory=dict)
    tasks: dict[tuple[JobId, int], None] = field(default_factory=dict)
    attempts: dict[AttemptUid, None] = field(default_factory=dict)
    workers: dict[WorkerId, None] = field(default_factory=dict)
    run: dict[tuple[WorkerId, AttemptUid], None] = field(default_factory=dict)
    stop: dict[tuple[WorkerId, AttemptUid], None] = field(default_factory=dict)
    acknowledge: dict[tuple[WorkerId, AttemptUid], None] = field(default_factory=dict)
    reschedule: bool = False

    def add(self, other: "Effects") -> None:
        """Takes in what a later event did."""
        pairs: tuple[tuple[dict[Hashable, None], dict[Hashable, None]], ...] = (
            (self.submitted, other.submitted),
            (self.jobs, other.jobs),
            (self.tasks, other.tasks),
            (self.attempts, other.attempts),
            (self.workers, other.workers),
            (self.run, other.run),
            (self.stop, other.stop),
            (self.acknowledge, other.acknowledge),
        )  # type: ignore[assignment]
        for mine, more in pairs:
            mine.update(more)
        self.reschedule = self.reschedule or other.reschedule
