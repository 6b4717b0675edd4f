"""Why jobs wait: the scheduler's reason, or what the autoscaler does about it, where it does."""

from collections.abc import Mapping

from iris.model.ids import JobId
from iris.model.pending import PendingReason


class PendingReasons:
    """The latest reasons.

    They are worked out anew in every turn, so they are kept in memory only.
    """

    def __init__(self) -> None:
        self._scheduler: Mapping[JobId, PendingReason] = {}
        self._outlook: Mapping[JobId, PendingReason] = {}

    def of(self, job_id: JobId) -> PendingReason | None:
        """Why tasks of this job that could start do not; None if nobody has looked at them yet."""
        reason = self._scheduler.get(job_id)
        return self._outlook.get(job_id, reason) if reason is not None else None

    def scheduled(self, reasons: Mapping[JobId, PendingReason]) -> set[JobId]:
        """What the scheduler left unplaced; returns the jobs whose reason is another one now."""
        return self._replace(reasons, self._outlook)

    def planned(self, outlook: Mapping[JobId, PendingReason]) -> set[JobId]:
        """What the autoscaler says; returns the jobs whose reason is another one now."""
        return self._replace(self._scheduler, outlook)

    def _replace(
        self, scheduler: Mapping[JobId, PendingReason], outlook: Mapping[JobId, PendingReason]
    ) -> set[JobId]:
        concerned = {*self._scheduler, *scheduler}
        before = {job_id: self.of(job_id) for job_id in concerned}
        self._scheduler, self._outlook = scheduler, outlook
        return {job_id for job_id in concerned if self.of(job_id) != before[job_id]}
