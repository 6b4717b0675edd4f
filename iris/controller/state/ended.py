"""Jobs that have ended and may be forgotten one day, those that ended first in front.

A job is never forgotten before its children, so one that has children is not among them: it comes
once they are forgotten. So what is looked at can always be forgotten, and nothing is looked at in
vain.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from sortedcontainers import SortedKeyList

from iris.controller.state.job import Job
from iris.model.errors import Internal
from iris.model.ids import JobId, parent_of


def _ended_at(job: Job) -> datetime:
    at = job.record.finished_at
    if at is None:
        raise Internal(f"{job.job_id} has ended, and nobody knows when.")
    return at


def _order(job: Job) -> tuple[datetime, int]:
    return _ended_at(job), job.record.number


class EndedJobs:
    """Of one table.

    Args:
        find: A job of the table.
        children: The ids of a job's children.
    """

    def __init__(
        self,
        find: Callable[[JobId], Job | None],
        children: Callable[[JobId], Collection[JobId]],
    ) -> None:
        self._find = find
        self._children = children
        self._childless: SortedKeyList[Job] = SortedKeyList(key=_order)

    def __contains__(self, job: Job) -> bool:
        return job.record.state.is_terminal and job in self._childless

    def __len__(self) -> int:
        return len(self._childless)

    def look_at(self, job: Job) -> None:
        """The job has ended, or has lost a child or got one."""
        there = job in self
        wanted = job.record.state.is_terminal and not self._children(job.job_id)
        if wanted and not there:
            self._childless.add(job)
        elif there and not wanted:
            self._childless.remove(job)

    def drop(self, job: Job) -> None:
        """The job is forgotten."""
        if job in self:
            self._childless.remove(job)

    def next_prunable(self) -> datetime | None:
        """When the one that ended first did; None if there is none."""
        return _ended_at(self._childless[0]) if self._childless else None

    def prunable(self, before: datetime, limit: int) -> tuple[JobId, ...]:
        """Jobs that had ended by then, so many at most; children before their parents."""
        found: dict[JobId, None] = {}
        left: dict[JobId, int] = {}  # how many children a parent still has
        for first in self._childless:
            job: Job | None = first
            while job is not None and len(found) < limit and _ended_at(job) <= before:
                found[job.job_id] = None
                job = self._parent_that_follows(job, left)
            if _ended_at(first) > before or len(found) >= limit:
                break
        return tuple(found)

    def _parent_that_follows(self, job: Job, left: dict[JobId, int]) -> Job | None:
        """The parent, if it has ended too and this was the last of its children."""
        parent_id = parent_of(job.job_id)
        parent = self._find(parent_id) if parent_id is not None else None
        if parent is None or not parent.record.state.is_terminal:
            return None
        left[parent.job_id] = left.get(parent.job_id, len(self._children(parent.job_id))) - 1
        return None if left[parent.job_id] else parent
