"""Names of jobs, tasks and attempts. Ids are plain strings with a type: cheap to store, compare and
send.

A job is a path, `/user/job`; a child job lies below its parent, `/user/job/child`; a task is its
job's path and its index,
`/user/job/0`. So that a child is never taken for a task, a job's name is not a number.
"""

import re
from typing import NewType

from iris.model.errors import InvalidArgument

JobId = NewType("JobId", str)
TaskId = NewType("TaskId", str)
AttemptUid = NewType("AttemptUid", str)
WorkerId = NewType("WorkerId", str)
SliceId = NewType("SliceId", str)

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_MAX_DEPTH = 8
_RULE = (
    "A job id is /user/job or /user/job/child: letters, digits, '.', '_' and '-', at most 63 per part, "
    "and a part after the user is not a number."
)


def parse_job_id(text: str) -> JobId:
    """Checks `text` as a job id. Raises InvalidArgument."""
    if not _is_job_id(text):
        raise InvalidArgument(f"{text!r} is not a job id.", hint=_RULE)
    return JobId(text)


def parse_job_or_task_id(text: str) -> tuple[JobId, int | None]:
    """Splits an id into its job and, for a task's, its index. Raises InvalidArgument."""
    if _is_job_id(text):
        return JobId(text), None
    head, _, last = text.rpartition("/")
    # One spelling for each task: no leading zeros.
    if not _INDEX.fullmatch(last) or not _is_job_id(head):
        raise InvalidArgument(f"{text!r} is neither a job id nor a task id.", hint=_RULE)
    return JobId(head), int(last)


def _is_job_id(text: str) -> bool:
    parts = text.split("/")
    return (
        3 <= len(parts) <= _MAX_DEPTH + 2
        and parts[0] == ""
        and all(_SEGMENT.fullmatch(part) for part in parts[1:])
        and not any(part.isdigit() for part in parts[2:])
    )


def task_id(job_id: JobId, index: int) -> TaskId:
    """The id of the job's task number `index` (from 0)."""
    return TaskId(f"{job_id}/{index}")


def job_of(task: TaskId) -> JobId:
    """The job a task belongs to."""
    return JobId(task.rpartition("/")[0])


def index_of(task: TaskId) -> int:
    """A task's index within its job."""
    return int(task.rpartition("/")[2])


def user_of(job_id: JobId) -> str:
    """The first part of the path."""
    return job_id.split("/", 2)[1]


def parent_of(job_id: JobId) -> JobId | None:
    """The job this one is a child of, or None."""
    head = job_id.rpartition("/")[0]
    return JobId(head) if head.count("/") >= 2 else None
