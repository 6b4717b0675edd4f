"""Jobs, tasks and attempts: their records, who is ready to run, and the one place where a state
changes.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sortedcontainers import SortedDict

from iris.controller.state.copier import Copier
from iris.controller.state.due import Due, DueHeap
from iris.controller.state.effects import Effects
from iris.controller.state.ended import EndedJobs
from iris.controller.state.job import Job
from iris.controller.state.queue import Waiting
from iris.controller.state.ready import Ready, with_, without
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord
from iris.controller.state.tasks import Tasks
from iris.model.errors import Internal
from iris.model.ids import AttemptUid, JobId, parent_of, task_id
from iris.model.states import TASK_TRANSITIONS, TaskState

# The latest changes of all tasks together; an impossible change shows those of its task.
_STORY_LINES = 10_000
_PENDING = TaskState.PENDING
_TASKS = Copier(TaskRecord)
_ATTEMPTS = Copier(AttemptRecord)


class JobTable:
    """All jobs. Changes are noted in the Effects that are handed in.

    Attributes:
        counts: How many tasks of all jobs together are in each state.
        active: How many jobs have not ended.
        waiting: What the scheduler should look at.
        ended: What may be forgotten.
        next_number: The number of the next job. Never goes back.

    Args:
        stop_grace: Between SIGTERM and SIGKILL, for jobs that do not say.
    """

    def __init__(self, stop_grace: timedelta) -> None:
        self.counts: dict[TaskState, int] = dict.fromkeys(TaskState, 0)
        self.active = 0
        self.waiting = Waiting(stop_grace)
        self.ended = EndedJobs(self.get, self._children_of)
        self.next_number = 1
        self._jobs: dict[JobId, Job] = {}
        self._by_number: SortedDict[int, Job] = SortedDict()
        self._attempts: dict[AttemptUid, AttemptRecord] = {}
        self._children: dict[JobId, dict[JobId, None]] = {}
        self._delayed = DueHeap(self._is_delayed)  # the index of the task
        # When, whose (a job's number, an index), from which state to which, and why.
        self._story: deque[tuple[datetime, int, int, TaskState, TaskState, str]] = deque(
            maxlen=_STORY_LINES
        )

    # --- jobs ------------------------------------------------------------------------------------

    def get(self, job_id: JobId) -> Job | None:
        """A job."""
        return self._jobs.get(job_id)

    def numbered(self, number: int) -> Job | None:
        """A job by its number."""
        found: Job | None = self._by_number.get(number)
        return found

    def __len__(self) -> int:
        return len(self._jobs)

    def newest_first(self, below: int | None = None) -> Iterator[Job]:
        """All jobs, or those with a number below that."""
        numbers = self._by_number.irange(maximum=below, inclusive=(True, False), reverse=True)
        return (self._by_number[number] for number in numbers)

    def children_of(self, job_id: JobId) -> tuple[Job, ...]:
        """The job's children that are known, oldest first."""
        return tuple(self._jobs[child] for child in self._children_of(job_id))

    def _children_of(self, job_id: JobId) -> Collection[JobId]:
        return self._children.get(job_id, ())

    def add(self, record: JobRecord, tasks: Iterable[TaskRecord] = ()) -> Job:
        """A job that is new, or was stored; `tasks` are those that are not as new."""
        touched = tuple(tasks)
        size = record.spec.replicas
        job = Job(record, self.waiting.join(record), Tasks(size, touched), range(size))
        self.counts[_PENDING] += size
        for task in touched:
            if task.state is not _PENDING:
                job.count(_PENDING, task.state)
                self.counts[_PENDING] -= 1
                self.counts[task.state] += 1
            if task.state is not _PENDING or task.not_before is not None:
                job.ready = without(job.ready, task.index)
            if task.state is _PENDING and task.not_before is not None:
                self._delayed.add((task.not_before, record.number, task.index))
        self.active += not record.state.is_terminal
        self._jobs[record.job_id] = job
        self._by_number[record.number] = job
        self.next_number = max(self.next_number, record.number + 1)
        self.waiting.update(job)
        self._join_family(job)
        return job

    def _join_family(self, job: Job) -> None:
        parent_id = parent_of(job.job_id)
        if parent_id is not None:
            self._children.setdefault(parent_id, {})[job.job_id] = None
            parent = self._jobs.get(parent_id)
            if parent is not None:
                self.ended.look_at(parent)
        self.ended.look_at(job)

    def forget(self, job: Job, effects: Effects) -> None:
        """The job, with its tasks and attempts, is known no more. It has ended."""
        job_id = job.job_id
        self.ended.drop(job)
        self.waiting.leave(job)
        for uid in job.all_attempt_uids():
            del self._attempts[uid]
            effects.pruned_attempts[uid] = None
        for task in job.tasks.touched():
            effects.pruned_tasks[job_id, task.index] = None
        for state, count in job.counts.items():
            self.counts[state] -= count
        del self._jobs[job_id]
        del self._by_number[job.record.number]
        effects.pruned[job_id] = None
        parent_id = parent_of(job_id)
        if parent_id is not None:
            siblings = self._children[parent_id]
            del siblings[job_id]
            if not siblings:
                del self._children[parent_id]
            parent = self._jobs.get(parent_id)
            if parent is not None:
                self.ended.look_at(parent)

    def settle(self, job: Job, record: JobRecord) -> bool:
        """The job's record has changed; whether it has ended by that."""
        ends = record.state.is_terminal and not job.record.state.is_terminal
        job.record = record
        if ends:
            self.active -= 1
            self.ended.look_at(job)
        return ends

    # --- attempts --------------------------------------------------------------------------------

    def attempt(self, uid: AttemptUid) -> AttemptRecord | None:
        """An attempt of any job."""
        return self._attempts.get(uid)

    def attempts_of(self, job: Job, index: int) -> Iterator[AttemptRecord]:
        """A task's attempts, oldest first."""
        return (self._attempts[uid] for uid in job.attempt_uids(index))

    def add_attempt(self, record: AttemptRecord) -> None:
        """An attempt that is new, or was stored; each task's come in order."""
        self._attempts[record.uid] = record
        self._jobs[record.job_id].add_attempt(record.index, record.uid)

    def change_attempt(
        self, attempt: AttemptRecord, to: TaskState, why: str, effects: Effects, **changes: Any
    ) -> AttemptRecord:
        """Changes an attempt's record. Raises Internal if its state may not change so."""
        if to is not attempt.state:
            self._check(attempt.state, to, self._jobs[attempt.job_id], attempt.index, why)
        changes["state"] = to
        attempt = self._attempts[attempt.uid] = _ATTEMPTS.changed(attempt, changes)
        effects.attempts[attempt.uid] = None
        effects.jobs[attempt.job_id] = None
        return attempt

    # --- tasks -----------------------------------------------------------------------------------

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
        self._story.append((at, job.record.number, index, from_, to, why))
        self.counts[from_] -= 1
        self.counts[to] += 1
        job.count(from_, to)
        changes["state"] = to
        job.tasks[index] = task = _TASKS.changed(task, changes)
        job.let_go(index)
        if from_ is _PENDING and index in job.ready:
            self._set_ready(job, without(job.ready, index), effects)
        if to is _PENDING:
            if task.not_before is None or task.not_before <= at:
                self._set_ready(job, with_(job.ready, index), effects)
            else:
                self._delayed.add((task.not_before, job.record.number, index))
                effects.reschedule = True
        effects.tasks[job.job_id, index] = None
        effects.jobs[job.job_id] = None
        return task

    def next_due(self) -> datetime | None:
        """When the next delayed retry may start."""
        return self._delayed.next()

    def release_due(self, at: datetime, effects: Effects) -> None:
        """Retries whose delay is over become ready."""
        while (due := self._delayed.pop(at)) is not None:
            job = self._by_number[due[1]]
            self._set_ready(job, with_(job.ready, due[2]), effects)
            effects.jobs[job.job_id] = None

    def _is_delayed(self, due: Due) -> bool:
        """Whether that task still waits until then."""
        when, number, index = due
        job = self.numbered(number)
        if job is None or index in job.ready:
            return False
        task = job.tasks[index]
        return task.state is _PENDING and task.not_before == when

    def _set_ready(self, job: Job, ready: Ready, effects: Effects) -> None:
        job.ready = ready
        self.waiting.update(job)
        effects.reschedule = True  # without this, only a worker's free resources may matter

    # --- what must never happen ------------------------------------------------------------------

    def _check(self, from_: TaskState, to: TaskState, job: Job, index: int, why: str) -> None:
        if to not in TASK_TRANSITIONS[from_]:
            raise Internal(
                f"{task_id(job.job_id, index)} cannot go from {from_.name} to {to.name}: {why}.",
                hint=f"Its story: {self.story(job, index)}.",
            )

    def story(self, job: Job, index: int) -> str:
        """What is known to have happened to a task, oldest first, in one line."""
        attempts = [
            f"{a.assigned_at.isoformat()} attempt {a.number} on {a.worker_id}, now {a.state.name}"
            for a in self.attempts_of(job, index)
        ]
        changes = [
            f"{at.isoformat()} {from_.name} -> {to.name}: {why}"
            for at, number, of, from_, to, why in self._story
            if (number, of) == (job.record.number, index)
        ]
        return "; ".join([*attempts, *changes]) or "nothing has happened to it"
