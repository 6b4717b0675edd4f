"""Explanations, word for word."""

from dataclasses import replace

import pytest

from iris.cli.explain import explain_job, why_lines
from iris.cli.sample_jobs import at, attempt, job, line, task, why
from iris.client import JobView, LogLine
from iris.model.ids import JobId
from iris.model.pending import PendingCode, PendingReason, RuleCount
from iris.model.states import JobState, TaskState

TOO_LITTLE = PendingReason(
    PendingCode.INSUFFICIENT_RESOURCE,
    subject="memory",
    needed="64 GiB memory",
    nearest="8 GiB on cpu-1/vm-0",
    rules=(
        RuleCount(PendingCode.INSUFFICIENT_RESOURCE, "memory", 3),
        RuleCount(PendingCode.CONSTRAINT_UNMET, "zone", 1),
    ),
    hint="Ask for less.",
)


def explained(view: JobView, *lines: LogLine) -> str:
    return "\n".join(
        text.plain
        for text in explain_job(view, at(75), name="train", why=why(view), last_lines=lines)
    )


@pytest.mark.parametrize(
    ("view", "lines", "text"),
    [
        pytest.param(
            job(
                JobState.FAILED,
                task(
                    0,
                    TaskState.FAILED,
                    attempt(
                        TaskState.FAILED, exit_code=3, error="python3 exited with code 3.", ended=4
                    ),
                ),
                ended=4.5,
            ),
            [line("loading"), line("no such file", index=1)],
            """\
/ann/train failed after 3.5 s
  task 0 exited with code 3 on cpu-1/vm-0
  its last lines:
    | loading
    | no such file
  all of its output: iris job logs train""",
            id="exit code",
        ),
        pytest.param(
            job(
                JobState.FAILED,
                task(0, TaskState.SUCCEEDED, attempt(TaskState.SUCCEEDED, exit_code=0, ended=2)),
                task(1, TaskState.FAILED, attempt(TaskState.FAILED, exit_code=1, ended=9)),
                task(
                    2,
                    TaskState.FAILED,
                    attempt(
                        TaskState.WORKER_FAILED,
                        worker="cpu-2/vm-0",
                        error="silent for 30 s",
                        ended=3,
                    ),
                    attempt(
                        TaskState.FAILED,
                        number=1,
                        signal=9,
                        error="used more than 512 MiB memory",
                        ended=8,
                    ),
                ),
                ended=9,
            ),
            [],
            """\
/ann/train failed after 8.0 s (1 succeeded, 2 failed)
  2 of 3 tasks failed; first this one:
  task 2 was ended by signal 9 (SIGKILL) on cpu-1/vm-0
    used more than 512 MiB memory
    attempt 1 lost its worker on cpu-2/vm-0: silent for 30 s
  it wrote nothing
  all of its output: iris job logs train""",
            id="several failures, one after a lost worker",
        ),
        pytest.param(
            job(
                JobState.FAILED,
                task(
                    0,
                    TaskState.FAILED,
                    attempt(
                        TaskState.FAILED,
                        error="there is no program 'pyhton3' on the PATH",
                        started=None,
                        ended=2,
                    ),
                ),
                ended=2,
            ),
            [],
            """\
/ann/train failed after 1.0 s
  task 0 failed on cpu-1/vm-0
    there is no program 'pyhton3' on the PATH
  all of its output: iris job logs train""",
            id="a program that does not exist",
        ),
        pytest.param(
            job(
                JobState.FAILED,
                task(
                    0,
                    TaskState.FAILED,
                    attempt(TaskState.FAILED, signal=11, ended=2, logs_complete=False),
                ),
                ended=2,
            ),
            [line("\x1b[31mred\x1b[0m and \x1b[2Jclear")],
            """\
/ann/train failed after 1.0 s
  task 0 was ended by signal 11 (SIGSEGV) on cpu-1/vm-0
  its last lines:
    | red and clear
  some of its last lines were lost
  all of its output: iris job logs train""",
            id="lost lines, and control sequences",
        ),
        pytest.param(
            job(JobState.PENDING, task(0, TaskState.PENDING, pending=TOO_LITTLE)),
            [],
            """\
/ann/train has been pending for 1 min 15 s
  it waits: too little of a resource (memory)
    needs    64 GiB memory
    nearest  8 GiB on cpu-1/vm-0
    hint     Ask for less.
    turned down 3 workers: too little of a resource (memory)
    turned down 1 worker: a constraint does not hold (zone)""",
            id="pending",
        ),
        pytest.param(
            job(
                JobState.RUNNING,
                task(
                    0,
                    TaskState.RUNNING,
                    attempt(TaskState.FAILED, exit_code=1, ended=2),
                    attempt(TaskState.RUNNING, number=1, started=15),
                ),
                task(
                    1,
                    TaskState.BUILDING,
                    attempt(TaskState.BUILDING, worker="cpu-1/vm-1", started=None),
                ),
                task(
                    2,
                    TaskState.PENDING,
                    pending=PendingReason(PendingCode.LAUNCHING_CAPACITY, "cpu"),
                ),
                task(
                    3,
                    TaskState.PENDING,
                    pending=PendingReason(PendingCode.LAUNCHING_CAPACITY, "cpu"),
                ),
            ),
            [],
            """\
/ann/train has been running for 1 min 14 s (2 pending, 1 building, 1 running)
  2 tasks wait, task 2 first: a slice is being launched (cpu)
  task 0 running on cpu-1/vm-0, attempt 2 for 1 min 0 s
    attempt 1 exited with code 1 on cpu-1/vm-0
  task 1 building on cpu-1/vm-1
  its output: iris job logs --follow train""",
            id="running, in part",
        ),
        pytest.param(
            job(
                JobState.UNSCHEDULABLE,
                task(
                    0,
                    TaskState.UNSCHEDULABLE,
                    pending=PendingReason(PendingCode.NO_GROUP_FITS, "cpu", "9 cores"),
                ),
                ended=0.1,
            ),
            [],
            """\
/ann/train cannot be scheduled after 0.1 s
  it waits: no scale group could ever run it (cpu)
    needs    9 cores""",
            id="unschedulable",
        ),
        pytest.param(
            job(
                JobState.KILLED,
                task(0, TaskState.KILLED, attempt(TaskState.KILLED, signal=15, ended=5)),
                error="cancelled by ann",
                ended=5,
            ),
            [],
            """\
/ann/train was cancelled after 4.0 s
  cancelled by ann
  all of its output: iris job logs train""",
            id="cancelled",
        ),
        pytest.param(
            job(
                JobState.SUCCEEDED,
                task(0, TaskState.SUCCEEDED, attempt(TaskState.SUCCEEDED, exit_code=0, ended=5)),
                ended=5,
            ),
            [],
            """\
/ann/train succeeded after 4.0 s
  all of its output: iris job logs train""",
            id="succeeded",
        ),
    ],
)
def test_explanations(view: JobView, lines: list[LogLine], text: str) -> None:
    assert explained(view, *lines) == text


def test_what_is_due_and_what_waits_alone() -> None:
    retry = PendingReason(PendingCode.RETRY_DELAY, "attempt 2", nearest="in 5.0 s")
    view = job(
        JobState.RUNNING,
        task(0, TaskState.RUNNING, attempt(TaskState.RUNNING)),
        task(1, TaskState.PENDING, pending=retry),
        error="Terminated: enough",
    )
    said = replace(
        why(view, next_retry=80, unschedulable=15 + 75, times_out=3675),
        parent=JobId("/ann/whole"),
    )
    assert [text.plain for text in why_lines(said, at(75))] == [
        "  Terminated: enough",
        "  task 1 waits: waits before the next attempt (attempt 2)",
        "    nearest  in 5.0 s",
        "  the next retry starts in 5.0 s",
        "  it is given up in 15 s unless it is placed",
        "  its time is over in 1 h 0 min",
        "  it ends with /ann/whole",
    ]


@pytest.mark.parametrize(
    ("children", "line"),
    [
        (1, "  its child jobs that go on: c0"),
        (8, "  its child jobs that go on: c0, c1, c2, c3, c4, c5, c6, c7"),
        (10, "  its child jobs that go on: c0, c1, c2, c3, c4, c5, c6, c7 and 2 more"),
    ],
)
def test_children_that_go_on_are_named(children: int, line: str) -> None:
    view = job(JobState.RUNNING, task(0, TaskState.RUNNING, attempt(TaskState.RUNNING)))
    said = replace(
        why(view), children=tuple(JobId(f"/ann/whole/c{index}") for index in range(children))
    )
    assert [text.plain for text in why_lines(said, at(75))] == [line]


def test_of_many_reasons_the_first_are_said() -> None:
    tasks = [
        task(
            index,
            TaskState.PENDING,
            pending=PendingReason(PendingCode.RETRY_DELAY, f"attempt {index}"),
        )
        for index in range(20)
    ]
    lines = [text.plain for text in why_lines(why(job(JobState.PENDING, *tasks)), at(75))]
    assert len(lines) == 9
    assert lines[7].startswith("  task 7 waits:")
    assert lines[8] == "  12 more tasks with other reasons"


def test_a_job_with_nothing_to_say_says_nothing() -> None:
    view = job(JobState.RUNNING, task(0, TaskState.RUNNING, attempt(TaskState.RUNNING)))
    assert why_lines(why(view), at(75)) == []
