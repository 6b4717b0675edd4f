"""What is drawn of a job: each attempt by itself, or each worker's share of very many."""

from datetime import UTC, datetime, timedelta

from iris.client import AttemptView, JobView, TaskView
from iris.model.ids import AttemptUid, JobId, TaskId, WorkerId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.model.states import JobState, TaskState
from iris.smoke.history import attempt_spans

START = datetime(2026, 1, 1, tzinfo=UTC)
JOB = JobId("/smoke/run-1-burst")


def job_of(tasks: int) -> JobView:
    views = tuple(
        TaskView(
            TaskId(f"{JOB}/{index}"),
            index,
            TaskState.SUCCEEDED,
            attempts=(
                AttemptView(
                    AttemptUid(f"a{index}"),
                    0,
                    WorkerId(f"w{index % 2}"),
                    TaskState.FAILED if index == 1 else TaskState.SUCCEEDED,
                    assigned_at=START + timedelta(seconds=index),
                    finished_at=START + timedelta(seconds=index + 3),
                ),
            ),
        )
        for index in range(tasks)
    )
    spec = JobSpec(Entrypoint(("x",)), Resources(), replicas=tasks)
    return JobView(JOB, spec, JobState.SUCCEEDED, tasks=views)


def test_few_attempts_are_shown_one_by_one() -> None:
    spans = attempt_spans(job_of(3), "run-1")
    assert [span.name for span in spans] == ["burst/0 #0", "burst/1 #0", "burst/2 #0"]
    assert spans[1].state == "failed"
    assert spans[2].ended - spans[2].began == timedelta(seconds=3)


def test_very_many_are_one_bar_for_each_worker() -> None:
    even, odd = attempt_spans(job_of(100), "run-1")
    assert (even.name, even.owner, even.count, even.state) == ("burst", "w0", 50, "succeeded")
    assert (odd.count, odd.state) == (50, "mixed")
    assert even.ended - even.began == timedelta(seconds=98 + 3)
