"""Jobs for tests of how jobs are shown. Times are counted in seconds from the moment each job was
submitted.
"""

from datetime import UTC, datetime, timedelta

from iris.client import (
    AttemptView,
    ExplanationView,
    JobView,
    LogLine,
    LogStream,
    TaskView,
    WaitingTasks,
)
from iris.model.ids import AttemptUid, JobId, TaskId, WorkerId
from iris.model.job import Entrypoint, JobSpec
from iris.model.pending import PendingReason
from iris.model.priority import PriorityBand
from iris.model.resources import MIB, Resources
from iris.model.states import JobState, TaskState

SUBMITTED = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """That long after the job was submitted."""
    return SUBMITTED + timedelta(seconds=seconds)


def attempt(
    state: TaskState,
    *,
    number: int = 0,
    worker: str = "cpu-1/vm-0",
    exit_code: int | None = None,
    signal: int | None = None,
    error: str = "",
    started: float | None = 1,
    ended: float | None = None,
    logs_complete: bool = True,
) -> AttemptView:
    """One run of a task."""
    return AttemptView(
        AttemptUid(f"attempt-{number}"),
        number,
        WorkerId(worker),
        state,
        exit_code,
        signal,
        error,
        assigned_at=at(0.5),
        started_at=None if started is None else at(started),
        finished_at=None if ended is None else at(ended),
        logs_complete=logs_complete,
    )


def task(
    index: int, state: TaskState, *attempts: AttemptView, pending: PendingReason | None = None
) -> TaskView:
    """One of the job's tasks."""
    return TaskView(TaskId(f"/ann/train/{index}"), index, state, pending, attempts)


def job(
    state: JobState,
    *tasks: TaskView,
    replicas: int | None = None,
    error: str = "",
    ended: float | None = None,
) -> JobView:
    """A job of these tasks."""
    counts: dict[TaskState, int] = {}
    for one in tasks:
        counts[one.state] = counts.get(one.state, 0) + 1
    started = any(one.attempts for one in tasks)
    return JobView(
        JobId("/ann/train"),
        JobSpec(
            Entrypoint(("python3", "train.py", "--epochs", "3")),
            Resources(1000, 512 * MIB),
            replicas=replicas or max(1, len(tasks)),
        ),
        state,
        error,
        submitted_at=SUBMITTED,
        started_at=at(1) if started else None,
        finished_at=None if ended is None else at(ended),
        counts=tuple(counts.items()),
        tasks=tasks,
        version=1,
    )


def why(
    view: JobView,
    *,
    next_retry: float | None = None,
    unschedulable: float | None = None,
    times_out: float | None = None,
) -> ExplanationView:
    """What a controller says of the job: tasks that wait for the same reason as one group."""
    groups: dict[PendingReason, list[int]] = {}
    for one in view.tasks:
        if one.pending is not None:
            groups.setdefault(one.pending, []).append(one.index)
    return ExplanationView(
        view.job_id,
        view.state,
        PriorityBand.INTERACTIVE,
        view.counts,
        tuple(WaitingTasks(reason, len(found), found[0]) for reason, found in groups.items()),
        view.error,
        next_retry_at=None if next_retry is None else at(next_retry),
        unschedulable_at=None if unschedulable is None else at(unschedulable),
        times_out_at=None if times_out is None else at(times_out),
    )


def line(
    text: str, *, index: int = 0, stream: LogStream = LogStream.STDOUT, task_index: int = 0
) -> LogLine:
    """A log line of a task's first attempt."""
    return LogLine(TaskId(f"/ann/train/{task_index}"), 0, index, at(2), stream, text.encode())
