"""States of tasks and jobs, which changes of a task are possible, and how a job's state follows from its tasks'."""

from collections.abc import Mapping
from enum import Enum


class TaskState(Enum):
    """Where a task, or one attempt of it, stands."""

    PENDING = "pending"
    ASSIGNED = "assigned"
    BUILDING = "building"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    WORKER_FAILED = "worker failed"
    PREEMPTED = "preempted"
    UNSCHEDULABLE = "unschedulable"

    # Looked up in every table of counts: by identity that takes a third of the time.
    __hash__ = object.__hash__

    @property
    def is_terminal(self) -> bool:
        """Whether an attempt in this state is over. A task may start anew from one that a retry follows."""
        return self in _TERMINAL

    @property
    def is_active(self) -> bool:
        """Whether it holds a worker's resources."""
        return self in _ACTIVE


_ACTIVE = frozenset({TaskState.ASSIGNED, TaskState.BUILDING, TaskState.RUNNING})
_TERMINAL = frozenset(TaskState) - _ACTIVE - {TaskState.PENDING}

_ENDS = frozenset(
    {
        TaskState.SUCCEEDED,
        TaskState.FAILED,
        TaskState.KILLED,
        TaskState.WORKER_FAILED,
        TaskState.PREEMPTED,
    }
)

# What may follow what. The way back to PENDING is a retry, or a gang that is placed anew as a whole.
TASK_TRANSITIONS: Mapping[TaskState, frozenset[TaskState]] = {
    # FAILED without ever having run: the job has had its time.
    TaskState.PENDING: frozenset(
        {TaskState.ASSIGNED, TaskState.KILLED, TaskState.UNSCHEDULABLE, TaskState.FAILED}
    ),
    TaskState.ASSIGNED: _ENDS | {TaskState.BUILDING, TaskState.RUNNING, TaskState.PENDING},
    TaskState.BUILDING: _ENDS | {TaskState.RUNNING, TaskState.PENDING},
    TaskState.RUNNING: _ENDS | {TaskState.PENDING},
    TaskState.SUCCEEDED: frozenset(),
    TaskState.FAILED: frozenset(),
    TaskState.KILLED: frozenset(),
    TaskState.WORKER_FAILED: frozenset(),
    TaskState.PREEMPTED: frozenset(),
    TaskState.UNSCHEDULABLE: frozenset(),
}


class JobState(Enum):
    """Where a job stands; follows from its tasks."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KILLED = "killed"
    UNSCHEDULABLE = "unschedulable"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self not in (JobState.PENDING, JobState.RUNNING)


FAILURES = frozenset({TaskState.FAILED, TaskState.WORKER_FAILED, TaskState.PREEMPTED})


def roll_up(
    counts: Mapping[TaskState, int],
    *,
    started: bool,
    allowed_failures: int = 0,
    timed_out: bool = False,
) -> JobState:
    """A job's state from how many of its tasks are in each state.

    The worst end decides once every task has ended; until then a job that ever started is RUNNING.
    As many tasks as are allowed may have failed for good, and the job succeeds if all others did. A
    job that has had its time has failed, also if those of its tasks that were stopped then
    succeeded while they were.
    """
    if any(count and not state.is_terminal for state, count in counts.items()):
        return JobState.RUNNING if started else JobState.PENDING
    if timed_out or sum(counts.get(state, 0) for state in FAILURES) > allowed_failures:
        return JobState.FAILED
    if counts.get(TaskState.UNSCHEDULABLE):
        return JobState.UNSCHEDULABLE
    return JobState.KILLED if counts.get(TaskState.KILLED) else JobState.SUCCEEDED
