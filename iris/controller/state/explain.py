"""A job explained: one structured record for any job at any time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from iris.controller.state.deadlines import Limit, deadline_of
from iris.controller.state.job import Job
from iris.controller.state.records import TaskRecord
from iris.controller.state.views import reason_for
from iris.model.errors import Internal
from iris.model.ids import JobId, parent_of
from iris.model.pending import PendingReason
from iris.model.priority import PriorityBand
from iris.model.states import JobState, TaskState

CHILDREN_NAMED = 20


@dataclass(frozen=True, slots=True)
class WaitingTasks:
    """Tasks that wait for the same reason: how many, and the index of the first."""

    reason: PendingReason
    tasks: int
    first_index: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a job is where it is.

    Attributes:
        counts: How many tasks are in each state, without zeros.
        waiting: Of the tasks that wait: why, most tasks first. Retries that are delayed are one
            group, with the reason of the next of them.
        error: Why it did not succeed, or is being ended.
        next_retry_at: When the next of its delayed retries may start.
        unschedulable_at: When a task that has never been placed makes it UNSCHEDULABLE; None once
            that cannot happen.
        times_out_at: When it has had its time; None before it was placed, and once it has ended.
        retries: So far.
        parent: The job that it ends with; None for one that has no parent, or outlives it.
        children: Those that have not ended, at most CHILDREN_NAMED.
    """

    job_id: JobId
    state: JobState
    band: PriorityBand
    counts: tuple[tuple[TaskState, int], ...]
    waiting: tuple[WaitingTasks, ...]
    error: str
    submitted_at: datetime
    placed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    next_retry_at: datetime | None
    unschedulable_at: datetime | None
    times_out_at: datetime | None
    retries: int
    parent: JobId | None
    children: tuple[JobId, ...] = ()

    def summary(self) -> str:
        """All of it in one sentence."""
        counts = ", ".join(f"{count} {state.value}" for state, count in self.counts)
        text = f"{self.job_id} ({self.band.value}) is {self.state.value}: {counts}"
        if self.error:
            text += f". {self.error}"
        if self.waiting:
            first = self.waiting[0]
            text += f". {first.tasks} wait: {first.reason.summary()}"
        return text


def explain(
    job: Job, reason: PendingReason | None, now: datetime, children: Iterable[Job] = ()
) -> Explanation:
    """Explains a job; `reason` is why those of its tasks that could start do not. Looks at what
    happened to tasks, not at those that have only waited: they may be many.
    """
    record = job.record
    delayed = [task for task in job.tasks.touched() if _is_delayed(job, task)]
    going_on = (child.job_id for child in children if not child.record.state.is_terminal)
    return Explanation(
        job_id=job.job_id,
        state=record.state,
        band=record.spec.priority,
        counts=tuple((state, job.counts[state]) for state in TaskState if job.counts.get(state)),
        waiting=_waiting(job, delayed, reason, now),
        error=record.error,
        submitted_at=record.submitted_at,
        placed_at=record.placed_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        next_retry_at=min((_until(task) for task in delayed), default=None),
        unschedulable_at=deadline_of(job, Limit.SCHEDULING_TIMEOUT),
        times_out_at=deadline_of(job, Limit.TIMEOUT),
        retries=record.retries,
        parent=None if record.spec.outlives_parent else parent_of(job.job_id),
        children=tuple(islice(going_on, CHILDREN_NAMED)),
    )


def _waiting(
    job: Job, delayed: Sequence[TaskRecord], reason: PendingReason | None, now: datetime
) -> tuple[WaitingTasks, ...]:
    """Delayed retries are one group, whose reason is that of the one that comes first."""
    groups: list[WaitingTasks] = []
    if job.ready:
        first = job.ready[0] if isinstance(job.ready, range) else min(job.ready)
        groups.append(WaitingTasks(reason_for(job, first, reason, now), len(job.ready), first))
    if delayed:
        next_one = min(delayed, key=lambda task: (_until(task), task.index))
        why = reason_for(job, next_one.index, reason, now)
        groups.append(WaitingTasks(why, len(delayed), min(task.index for task in delayed)))
    return tuple(sorted(groups, key=lambda group: (-group.tasks, group.first_index)))


def _is_delayed(job: Job, task: TaskRecord) -> bool:
    return task.state is TaskState.PENDING and task.index not in job.ready


def _until(task: TaskRecord) -> datetime:
    if task.not_before is None:
        raise Internal(f"Task {task.index} waits, and nobody knows until when.")
    return task.not_before
