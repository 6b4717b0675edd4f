"""The live picture and its sentence, word for word."""

import io

import pytest
from rich.console import Console
from rich.spinner import Spinner

from iris.cli.progress import live_progress, progress_sentence
from iris.cli.sample_jobs import at, attempt, job, task
from iris.client import JobView
from iris.model.pending import PendingCode, PendingReason
from iris.model.states import JobState, TaskState

LAUNCHING = PendingReason(PendingCode.LAUNCHING_CAPACITY, "cpu")
LIMIT = PendingReason(PendingCode.CAPACITY_LIMIT, hint="Wait, or cancel something.")
PENDING = job(JobState.PENDING, task(0, TaskState.PENDING, pending=LAUNCHING))
RUNNING = job(JobState.RUNNING, task(0, TaskState.RUNNING, attempt(TaskState.RUNNING, number=1)))
GANG = job(
    JobState.RUNNING,
    task(0, TaskState.RUNNING, attempt(TaskState.RUNNING)),
    task(1, TaskState.PENDING, pending=LIMIT),
    task(2, TaskState.PENDING, pending=LIMIT),
    task(3, TaskState.PENDING, pending=LAUNCHING),
)
MANY = job(
    JobState.RUNNING,
    *(task(index, TaskState.RUNNING, attempt(TaskState.RUNNING)) for index in range(20)),
    *(task(index, TaskState.PENDING, pending=LIMIT) for index in range(20, 30)),
)


def picture(view: JobView) -> str:
    output = io.StringIO()
    Console(file=output, width=100, get_time=lambda: 0.0).print(
        live_progress(view, at(12.3), Spinner("line"))
    )
    return "\n".join(row.rstrip() for row in output.getvalue().splitlines())


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (PENDING, "- /ann/train  pending  12 s\n  a slice is being launched (cpu)"),
        (RUNNING, "- /ann/train  running  11 s"),
        (
            GANG,
            """\
- /ann/train  3 pending, 1 running  11 s
  0  running  on cpu-1/vm-0
  1  pending  every fitting scale group is at its limit. Wait, or cancel something.
  2  pending  every fitting scale group is at its limit. Wait, or cancel something.
  3  pending  a slice is being launched (cpu)""",
        ),
        (
            MANY,
            "- /ann/train  10 pending, 20 running  11 s\n"
            "  every fitting scale group is at its limit. Wait, or cancel something.",
        ),
    ],
    ids=["pending", "running", "gang", "many"],
)
def test_live_pictures(view: JobView, text: str) -> None:
    assert picture(view) == text


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (PENDING, "/ann/train: pending: a slice is being launched (cpu)"),
        (RUNNING, "/ann/train: running on cpu-1/vm-0, attempt 2"),
        (
            GANG,
            "/ann/train: 3 pending, 1 running: every fitting scale group is at its limit. Wait, or cancel something.",
        ),
    ],
    ids=["pending", "running", "gang"],
)
def test_sentences(view: JobView, text: str) -> None:
    assert progress_sentence(view) == text
