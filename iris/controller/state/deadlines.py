"""When jobs run out of time: before their first placement (`scheduling_timeout`) and from it on
(`timeout`).
"""

from collections.abc import Iterator
from datetime import datetime
from enum import Enum

from iris.controller.state.due import Due, DueHeap
from iris.controller.state.job import Job
from iris.controller.state.jobs import JobTable


class Limit(Enum):
    """Which of a job's limits it is."""

    SCHEDULING_TIMEOUT = 0
    TIMEOUT = 1


def deadline_of(job: Job, limit: Limit) -> datetime | None:
    """When the limit is reached; None: never, as things are."""
    record = job.record
    if job.is_ending:
        return None
    if limit is Limit.SCHEDULING_TIMEOUT:
        length = record.spec.scheduling_timeout
        return record.submitted_at + length if length is not None and job.never_placed else None
    length = record.spec.timeout
    if length is None or record.placed_at is None:
        return None
    return record.placed_at + length


class Deadlines:
    """Of all jobs."""

    def __init__(self, jobs: JobTable) -> None:
        self._jobs = jobs
        self._heap = DueHeap(self._holds)

    def __len__(self) -> int:
        return len(self._heap)

    def watch(self, job: Job, limit: Limit) -> None:
        """The job may have a deadline now."""
        when = deadline_of(job, limit)
        if when is not None:
            self._heap.add((when, job.record.number, limit.value))

    def next_due(self) -> datetime | None:
        """The next of them."""
        return self._heap.next()

    def take_due(self, at: datetime) -> Iterator[tuple[Job, Limit]]:
        """Those that are reached, earliest first, each as it holds when it is its turn."""
        while (due := self._heap.pop(at)) is not None:
            job = self._jobs.numbered(due[1])
            if job is not None:
                yield job, Limit(due[2])

    def _holds(self, due: Due) -> bool:
        when, number, value = due
        job = self._jobs.numbered(number)
        return job is not None and deadline_of(job, Limit(value)) == when
