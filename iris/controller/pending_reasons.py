"""Why jobs wait: the scheduler's reason, or what the autoscaler does about it, where it does.

Kept by class of tasks (see iris.scheduler.snapshot.PendingClass), not by job: what is kept does not
grow with the number of jobs that wait for the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from iris.controller.state.jobs import Job
from iris.model.ids import JobId, user_of
from iris.model.pending import PendingReason
from iris.model.priority import PriorityBand
from iris.scheduler.snapshot import Request, Schedule, Unplaced

_ClassKey = tuple[PriorityBand, str, Request]


@dataclass(slots=True)
class PendingReasons:
    """The latest reasons. They are worked out anew in every pass, so they are kept in memory only."""

    _classes: Mapping[_ClassKey, Unplaced] = field(default_factory=dict)
    _jobs: Mapping[JobId, PendingReason] = field(default_factory=dict)
    _outlook: Mapping[JobId, PendingReason] = field(default_factory=dict)
    _told: dict[JobId, PendingReason | None] = field(default_factory=dict)

    def of(self, job: Job) -> PendingReason | None:
        """Why tasks of this job that could start do not; None if nobody has looked at them yet, or
        they all started.
        """
        if not job.is_startable:
            return None
        job_id = job.job_id
        own = self._jobs.get(job_id)
        found = self._classes.get((job.record.spec.priority, user_of(job_id), job.request))
        if found is None:
            return own
        # Single tasks of one class are one demand, named after its first job; each gang is its own.
        demand = job_id if job.is_gang else found.job_id
        reason, outlook = own or found.reason, self._outlook.get(demand)
        if outlook is None:
            return reason
        # What the workers that there are lack (one may be drained, say) only the scheduler knows.
        return outlook if outlook.rules else replace(outlook, rules=reason.rules)

    def scheduled(self, schedule: Schedule) -> None:
        """What the scheduler left unplaced."""
        self._classes = {(one.band, one.user, one.request): one for one in schedule.unplaced}
        self._jobs = schedule.job_reasons

    def planned(self, outlook: Mapping[JobId, PendingReason]) -> None:
        """What the autoscaler says about the demands that it was shown."""
        self._outlook = outlook

    def changed(self, watched: Iterable[Job]) -> set[JobId]:
        """Which of these jobs wait for another reason now than when this was last asked about them.

        Only jobs that somebody watches are looked at: so many may wait that not all can be.
        """
        told = {job.job_id: self.of(job) for job in watched}
        changed = {job_id for job_id, reason in told.items() if reason != self._told.get(job_id)}
        self._told = told
        return changed
