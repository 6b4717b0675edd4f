"""What waits for a place, kept the way the scheduler is shown it: in classes of jobs that ask for
the same. Every change costs about the same, however much waits.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, overload

from sortedcontainers import SortedDict

from iris.controller.state.view_list import ViewList
from iris.model.ids import WorkerId, task_id, user_of
from iris.model.job import JobSpec
from iris.model.priority import PriorityBand
from iris.scheduler.snapshot import PendingClass, PendingJob, ReadyTask, Request

if TYPE_CHECKING:
    from iris.controller.state.job import Job
    from iris.controller.state.records import JobRecord

# Of a job without a gang, the scheduler is shown so many tasks at once. They all ask for the same:
# if one of these finds no place, none behind them does, and if all find one, the next pass is shown
# more.
TASKS_IN_VIEW = 4096

# After the grace period a program is killed; until that is known here, some more time passes.
UNTIL_KNOWN = timedelta(seconds=5)

ClassKey = tuple[PriorityBand, str, Request]
_NOBODY: frozenset[WorkerId] = frozenset()


def longest_run(spec: JobSpec, stop_grace: timedelta) -> timedelta | None:
    """From the moment when a job's first task is placed: when nothing of it is left on any worker;
    None: nobody knows. `stop_grace` is for jobs that do not say.
    """
    if spec.timeout is None:
        return None
    return spec.timeout + (stop_grace if spec.stop_grace is None else spec.stop_grace) + UNTIL_KNOWN


class JobClass:
    """The jobs of one user and band that ask for the same.

    Attributes:
        waiting: Those that the scheduler should look at, by number.
        tasks: How many ready tasks they have together.
        members: How many jobs of this class are known, whether they wait or not.
    """

    __slots__ = ("band", "members", "request", "tasks", "user", "waiting")

    def __init__(self, band: PriorityBand, user: str, request: Request) -> None:
        self.band = band
        self.user = user
        self.request = request
        self.waiting: SortedDict[int, Job] = SortedDict()
        self.tasks = 0
        self.members = 0

    @property
    def key(self) -> ClassKey:
        """What its jobs have in common."""
        return self.band, self.user, self.request


class Waiting:
    """All jobs that the scheduler should look at.

    Args:
        stop_grace: For jobs that do not say.
    """

    def __init__(self, stop_grace: timedelta) -> None:
        self._stop_grace = stop_grace
        self._classes: dict[ClassKey, JobClass] = {}
        # Each request once, and how many classes have it.
        self._requests: dict[Request, tuple[Request, int]] = {}
        self._views: ViewList[JobClass, PendingClass] = ViewList(self._view)

    def join(self, record: "JobRecord") -> JobClass:
        """The class of a job that is new."""
        spec = record.spec
        request = Request(
            spec.resources,
            spec.constraints,
            spec.tolerations,
            spec.gang,
            spec.replicas if spec.gang is not None else 0,
        )
        key = (spec.priority, user_of(record.job_id), request)
        found = self._classes.get(key)
        if found is None:
            request, classes = self._requests.get(request, (request, 0))
            self._requests[request] = (request, classes + 1)
            found = JobClass(key[0], key[1], request)
            self._classes[found.key] = found
        found.members += 1
        return found

    def leave(self, job: "Job") -> None:
        """A job is forgotten. It waits no more."""
        of = job.job_class
        of.members -= 1
        if of.members:
            return
        del self._classes[of.key]
        request, classes = self._requests[of.request]
        if classes == 1:
            del self._requests[request]
        else:
            self._requests[request] = (request, classes - 1)

    def update(self, job: "Job") -> None:
        """The job may have become startable, or not be any more, or has other ready tasks."""
        job.pending_view = None
        count = len(job.ready) if job.is_startable else 0
        before, of = job.queued, job.job_class
        if not count and not before:
            return
        job.queued = count
        of.tasks += count - before
        if not before:
            of.waiting[job.record.number] = job
        elif not count:
            del of.waiting[job.record.number]
            if not of.waiting:
                self._views.remove(of)
                return
        self._views.change(of)

    def classes(self) -> Sequence[PendingClass]:
        """For the scheduler. A class that has not changed is the same object as before."""
        return self._views.views()

    def of(self, key: ClassKey) -> "Collection[Job]":
        """The waiting jobs of one class, in order of their numbers."""
        found = self._classes.get(key)
        return found.waiting.values() if found is not None else ()

    def tasks_of(self, key: ClassKey) -> int:
        """How many tasks of one class are ready."""
        found = self._classes.get(key)
        return found.tasks if found is not None else 0

    def known_classes(self) -> "Collection[JobClass]":
        """Those of all jobs, also of those that do not wait."""
        return self._classes.values()

    def _view(self, of: JobClass) -> PendingClass:
        jobs = _Jobs(of, self._stop_grace)
        first = of.waiting.keys()[0]
        return PendingClass(of.band, of.user, of.request, jobs, first, of.tasks)


class _Jobs:
    """Shows the jobs of a class as they are looked at."""

    __slots__ = ("_of", "_stop_grace")

    def __init__(self, of: JobClass, stop_grace: timedelta) -> None:
        self._of = of
        self._stop_grace = stop_grace

    def __iter__(self) -> Iterator[PendingJob]:
        return (_pending_job(job, self._stop_grace) for job in self._of.waiting.values())


def _pending_job(job: "Job", stop_grace: timedelta) -> PendingJob:
    """One job for the scheduler; made anew only after a change of what is ready."""
    if job.pending_view is None:
        lasts, placed_at = longest_run(job.record.spec, stop_grace), job.record.placed_at
        job.pending_view = PendingJob(
            job_id=job.job_id,
            number=job.record.number,
            tasks=ReadyTasks(job),
            lasts=lasts,
            ends_by=placed_at + lasts if placed_at is not None and lasts is not None else None,
        )
    return job.pending_view


class ReadyTasks(Sequence[ReadyTask]):
    """The ready tasks of a job, at most TASKS_IN_VIEW of them unless it is a gang.

    They are made as they are looked at, so it is good only until the state changes.
    """

    __slots__ = ("_indices", "_job", "_size", "_tasks")

    def __init__(self, job: "Job") -> None:
        # A gang's order is that of its indices, whatever order its members came back in.
        shown = range(len(job.tasks)) if job.is_gang else islice(job.ready, TASKS_IN_VIEW)
        self._job = job
        self._indices = iter(shown)
        self._size = len(job.tasks) if job.is_gang else min(len(job.ready), TASKS_IN_VIEW)
        self._tasks: list[ReadyTask] = []

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> ReadyTask: ...

    @overload
    def __getitem__(self, at: slice) -> list[ReadyTask]: ...

    def __getitem__(self, at: int | slice) -> ReadyTask | list[ReadyTask]:
        if isinstance(at, slice):
            wanted = range(self._size)[at]
            beyond = max(wanted[0], wanted[-1]) + 1 if wanted else 0
        else:
            beyond = at + 1 if at >= 0 else self._size
        missing = beyond - len(self._tasks)
        if missing > 0:
            self._tasks += map(self._make, islice(self._indices, missing))
        return self._tasks[at]

    def __iter__(self) -> Iterator[ReadyTask]:
        return iter(self[:])

    def _make(self, index: int) -> ReadyTask:
        job = self._job
        avoid = job.tasks[index].avoid
        return ReadyTask(task_id(job.job_id, index), frozenset(avoid) if avoid else _NOBODY)
