"""What an event did: which records it touched, and what the workers have to be told."""

from collections.abc import Hashable
from dataclasses import dataclass, field

from iris.model.ids import AttemptUid, JobId, WorkerId


@dataclass(slots=True)
class Effects:
    """Collected over the events of one turn; the dicts are sets that keep their order.

    Attributes:
        submitted: Jobs that are new.
        pruned: Jobs that are forgotten, with `pruned_tasks` and `pruned_attempts`. They go before
            all else: a job that took the name of another is in `jobs` as well.
        jobs: Jobs of which anything changed, and which are there.
        tasks: (job, index) of the tasks whose records changed.
        workers: Workers whose records changed or are gone.
        run: Attempts that were given to a worker.
        stop: Attempts that a worker has to stop.
        acknowledge: Attempts whose ends the controller has for good once this is stored.
        reschedule: Something changed that may change a placement or the reason for having none.
    """

    submitted: dict[JobId, None] = field(default_factory=dict)
    pruned: dict[JobId, None] = field(default_factory=dict)
    pruned_tasks: dict[tuple[JobId, int], None] = field(default_factory=dict)
    pruned_attempts: dict[AttemptUid, None] = field(default_factory=dict)
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
        if other.pruned:
            self._forget(other)
        pairs: tuple[tuple[dict[Hashable, None], dict[Hashable, None]], ...] = (
            (self.submitted, other.submitted),
            (self.pruned, other.pruned),
            (self.pruned_tasks, other.pruned_tasks),
            (self.pruned_attempts, other.pruned_attempts),
            (self.jobs, other.jobs),
            (self.tasks, other.tasks),
            (self.attempts, other.attempts),
            (self.workers, other.workers),
            (self.run, other.run),
            (self.stop, other.stop),
            (self.acknowledge, other.acknowledge),
        )  # type: ignore[assignment]
        for mine, more in pairs:
            if more:
                mine.update(more)
        self.reschedule = self.reschedule or other.reschedule

    def _forget(self, later: "Effects") -> None:
        """What changed and was forgotten afterwards has no record any more."""
        for job_id in later.pruned:
            self.submitted.pop(job_id, None)
            self.jobs.pop(job_id, None)
        for task in later.pruned_tasks:
            self.tasks.pop(task, None)
        for uid in later.pruned_attempts:
            self.attempts.pop(uid, None)
