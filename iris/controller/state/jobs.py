"""Jobs, tasks and attempts: their records, who is ready to run, and the one place where a state
changes.
"""

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from iris.controller.state.effects import Effects
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord
from iris.model.errors import Internal
from iris.model.ids import AttemptUid, JobId, TaskId, task_id
from iris.model.states import TASK_TRANSITIONS, TaskState
from iris.scheduler.snapshot import PendingJob

# The latest changes of all tasks together; an impossible change shows those of its task.
_STORY_LINES = 10_000


@dataclass(slots=True, eq=False)
class Job:
    """A job and what belongs to it.

    Attributes:
        tasks: By index.
        attempts: Of each task that had any, oldest first.
        counts: How many tasks are in each state.
        ready: Indices of the PENDING tasks that wait for nothing but a place, in the order in which
            they are served.
        held: Members of a gang whose attempts succeeded while others still run. A gang ends as one:
            until then they may have to run again.
        pending_view: What the scheduler was shown last; None after a change of `ready`.
    """

    record: JobRecord
    tasks: list[TaskRecord]
    attempts: dict[int, list[AttemptUid]] = field(default_factory=dict)
    counts: dict[TaskState, int] = field(default_factory=dict)
    ready: dict[int, None] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    pending_view: PendingJob | None = None

    @property
    def job_id(self) -> JobId:
        """Its id."""
        return self.record.job_id

    @property
    def is_gang(self) -> bool:
        """Whether its tasks start, and end, together."""
        return self.record.spec.gang is not None

    @property
    def is_startable(self) -> bool:
        """Whether the scheduler should look at it."""
        if self.is_gang:
            return len(self.ready) == len(self.tasks)
        return bool(self.ready)


@dataclass(frozen=True, slots=True)
class _StoryLine:
    at: datetime
    task_id: TaskId
    change: str


class JobTable:
    """All jobs. Changes are noted in the Effects that are handed in.

    Attributes:
        counts: How many tasks of all jobs together are in each state.
        active: How many jobs have not ended.
    """

    def __init__(self) -> None:
        self.counts: dict[TaskState, int] = dict.fromkeys(TaskState, 0)
        self.active = 0
        self._jobs: dict[JobId, Job] = {}
        self._by_number: list[Job] = []
        self._attempts: dict[AttemptUid, AttemptRecord] = {}
        self._startable: dict[JobId, Job] = {}
        self._delayed: list[tuple[datetime, int, int]] = []  # (not before, job's number, index)
        self._story: deque[_StoryLine] = deque(maxlen=_STORY_LINES)

    def get(self, job_id: JobId) -> Job | None:
        """A job."""
        return self._jobs.get(job_id)

    def attempt(self, uid: AttemptUid) -> AttemptRecord | None:
        """An attempt of any job."""
        return self._attempts.get(uid)

    def attempts_of(self, job: Job, index: int) -> Iterator[AttemptRecord]:
        """A task's attempts, oldest first."""
        return (self._attempts[uid] for uid in job.attempts.get(index, ()))

    def newest_first(self, below: int | None = None) -> Iterator[Job]:
        """All jobs, or those with a number below that."""
        start = len(self._by_number) if below is None else min(below - 1, len(self._by_number))
        return (self._by_number[position] for position in range(start - 1, -1, -1))

    @property
    def startable(self) -> Collection[Job]:
        """Jobs that the scheduler should look at, in no order."""
        return self._startable.values()

    @property
    def next_number(self) -> int:
        """The number of the next job."""
        return len(self._by_number) + 1

    def add(self, record: JobRecord, tasks: Iterable[TaskRecord] = ()) -> Job:
        """A job that is new, or was stored; `tasks` are those that are not as new."""
        everything = [TaskRecord(index) for index in range(record.spec.replicas)]
        for task in tasks:
            everything[task.index] = task
        job = Job(record, everything)
        for task in everything:
            job.counts[task.state] = job.counts.get(task.state, 0) + 1
            self.counts[task.state] += 1
            if task.state is not TaskState.PENDING:
                continue
            if task.not_before is None:
                job.ready[task.index] = None
            else:
                heapq.heappush(self._delayed, (task.not_before, record.number, task.index))
        self.active += not record.state.is_terminal
        self._jobs[record.job_id] = job
        self._by_number.append(job)
        self._ready_changed(job)
        return job

    def add_attempt(self, record: AttemptRecord) -> None:
        """An attempt that is new, or was stored; each task's come in order."""
        self._attempts[record.uid] = record
        self._jobs[record.job_id].attempts.setdefault(record.index, []).append(record.uid)

    def move_task(
        self,
        job: Job,
        index: int,
        to: TaskState,
        why: str,
        at: datetime,
        effects: Effects,
        **changes: Any,
    ) -> TaskRecord:
        """Changes a task's state, and what else of its record is named.

        Raises Internal if it may not.
        """
        task = job.tasks[index]
        from_ = task.state
        self._check(from_, to, job, index, why)
        self._story.append(
            _StoryLine(at, task_id(job.job_id, index), f"{from_.name} -> {to.name}: {why}")
        )
        job.counts[from_] -= 1
        self.counts[from_] -= 1
        self.counts[to] += 1
        job.counts[to] = job.counts.get(to, 0) + 1
        job.tasks[index] = task = replace(task, state=to, **changes)
        job.held.discard(index)
        job.ready.pop(index, None)
        if to is TaskState.PENDING:
            if task.not_before is None or task.not_before <= at:
                job.ready[index] = None
            else:
                heapq.heappush(self._delayed, (task.not_before, job.record.number, index))
        self._ready_changed(job)
        effects.tasks[job.job_id, index] = None
        effects.jobs[job.job_id] = None
        if TaskState.PENDING in (from_, to):
            effects.reschedule = True  # otherwise only a worker's free resources may matter
        return task

    def change_attempt(
        self, attempt: AttemptRecord, to: TaskState, why: str, effects: Effects, **changes: Any
    ) -> AttemptRecord:
        """Changes an attempt's record. Raises Internal if its state may not change so."""
        if to is not attempt.state:
            self._check(attempt.state, to, self._jobs[attempt.job_id], attempt.index, why)
        attempt = self._attempts[attempt.uid] = replace(attempt, state=to, **changes)
        effects.attempts[attempt.uid] = None
        effects.jobs[attempt.job_id] = None
        return attempt

    def next_due(self) -> datetime | None:
        """When the next delayed retry may start."""
        while self._delayed:
            due, number, index = self._delayed[0]
            if self._is_waiting(number, index, due):
                return due
            heapq.heappop(self._delayed)
        return None

    def release_due(self, at: datetime, effects: Effects) -> None:
        """Retries whose delay is over become ready."""
        while self._delayed and self._delayed[0][0] <= at:
            due, number, index = heapq.heappop(self._delayed)
            if self._is_waiting(number, index, due):
                job = self._by_number[number - 1]
                job.ready[index] = None
                self._ready_changed(job)
                effects.jobs[job.job_id] = None
                effects.reschedule = True

    def _is_waiting(self, number: int, index: int, due: datetime) -> bool:
        job = self._by_number[number - 1]
        task = job.tasks[index]
        return task.state is TaskState.PENDING and task.not_before == due and index not in job.ready

    def _ready_changed(self, job: Job) -> None:
        job.pending_view = None
        if job.is_startable:
            self._startable[job.job_id] = job
        else:
            self._startable.pop(job.job_id, None)

    def _check(self, from_: TaskState, to: TaskState, job: Job, index: int, why: str) -> None:
        if to not in TASK_TRANSITIONS[from_]:
            raise Internal(
                f"{task_id(job.job_id, index)} cannot go from {from_.name} to {to.name}: {why}.",
                hint=f"Its story: {self.story(job, index)}.",
            )

    def story(self, job: Job, index: int) -> str:
        """What is known to have happened to a task, oldest first, in one line."""
        name = task_id(job.job_id, index)
        attempts = [
            f"{a.assigned_at.isoformat()} attempt {a.number} on {a.worker_id}, now {a.state.name}"
            for a in self.attempts_of(job, index)
        ]
        lines = (line for line in self._story if line.task_id == name)
        changes = [f"{line.at.isoformat()} {line.change}" for line in lines]
        return "; ".join([*attempts, *changes]) or "nothing has happened to it"
