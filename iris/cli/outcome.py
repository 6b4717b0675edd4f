"""What a job's end means for whoever started it: which task failed first, and the exit code."""

from datetime import UTC, datetime

from iris.client.views import JobView, TaskView
from iris.model.states import JobState, TaskState

SIGNAL_BASE = 128
INTERRUPTED = SIGNAL_BASE + 2

_FAILURES = frozenset(
    {TaskState.FAILED, TaskState.WORKER_FAILED, TaskState.PREEMPTED, TaskState.UNSCHEDULABLE}
)
_LAST = datetime.max.replace(tzinfo=UTC)


def failures(job: JobView) -> list[TaskView]:
    """The tasks that failed by themselves, the first one first. Members of a gang that were ended
    with it do not count.
    """
    return sorted((task for task in job.tasks if task.state in _FAILURES), key=_ended_at)


def exit_code_of(job: JobView) -> int:
    """0 for success; the first failing task's code, or 128 and the signal; 1 where there is
    neither.
    """
    if job.state is JobState.SUCCEEDED:
        return 0
    killed = [task for task in job.tasks if task.state is TaskState.KILLED]
    for task in [*failures(job), *sorted(killed, key=_ended_at)]:
        attempt = task.last_attempt
        if attempt is not None and attempt.signal:
            return SIGNAL_BASE + attempt.signal
        if attempt is not None and attempt.exit_code:
            return attempt.exit_code
    return 1


def _ended_at(task: TaskView) -> tuple[datetime, int]:
    attempt = task.last_attempt
    return (attempt.finished_at or _LAST if attempt else _LAST), task.index
