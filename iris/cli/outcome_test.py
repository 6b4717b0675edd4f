"""Exit codes."""

import pytest

from iris.cli.outcome import exit_code_of, failures
from iris.cli.sample_jobs import attempt, job, task
from iris.client import JobView, TaskView
from iris.model.states import JobState, TaskState

OK = task(0, TaskState.SUCCEEDED, attempt(TaskState.SUCCEEDED, exit_code=0, ended=1))


def failed(
    index: int, ended: float, *, exit_code: int | None = None, signal: int | None = None
) -> TaskView:
    return task(
        index,
        TaskState.FAILED,
        attempt(TaskState.FAILED, ended=ended, exit_code=exit_code, signal=signal),
    )


@pytest.mark.parametrize(
    ("view", "code"),
    [
        pytest.param(job(JobState.SUCCEEDED, OK), 0, id="success"),
        pytest.param(job(JobState.FAILED, failed(0, 1, exit_code=7)), 7, id="its code"),
        pytest.param(job(JobState.FAILED, failed(0, 1, signal=9)), 137, id="its signal"),
        pytest.param(
            job(JobState.FAILED, OK, failed(1, 9, exit_code=1), failed(2, 5, exit_code=2)),
            2,
            id="the first in time",
        ),
        pytest.param(
            job(JobState.FAILED, failed(0, 5, exit_code=3), failed(1, 5, exit_code=4)),
            3,
            id="the lower index of two",
        ),
        pytest.param(
            job(
                JobState.FAILED,
                task(0, TaskState.KILLED, attempt(TaskState.KILLED, signal=15, ended=1)),
                failed(1, 2, exit_code=6),
            ),
            6,
            id="members that were ended with a gang do not count",
        ),
        pytest.param(
            job(
                JobState.FAILED,
                task(0, TaskState.FAILED, attempt(TaskState.FAILED, error="no program", ended=1)),
            ),
            1,
            id="never started",
        ),
        pytest.param(
            job(
                JobState.KILLED,
                task(0, TaskState.KILLED, attempt(TaskState.KILLED, signal=15, ended=1)),
            ),
            143,
            id="cancelled while it ran",
        ),
        pytest.param(job(JobState.KILLED, task(0, TaskState.KILLED)), 1, id="cancelled before"),
        pytest.param(
            job(JobState.UNSCHEDULABLE, task(0, TaskState.UNSCHEDULABLE)), 1, id="unschedulable"
        ),
    ],
)
def test_exit_codes(view: JobView, code: int) -> None:
    assert exit_code_of(view) == code


def test_failures_come_in_the_order_of_time() -> None:
    view = job(JobState.FAILED, OK, failed(1, 9, exit_code=1), failed(2, 5, exit_code=1))
    assert [one.index for one in failures(view)] == [2, 1]
