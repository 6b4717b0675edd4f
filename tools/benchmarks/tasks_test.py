"""The program measures every figure it promises. How fast this machine is, no test says."""

import json
import subprocess
import sys
from typing import Any

import pytest
from absl import flags

from iris.client import JobView
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.model.states import JobState, TaskState
from tools.benchmarks.tasks_program import FIGURES, WentWrong, _check

flags.DEFINE_list("program", [sys.executable, "-m", "tools.benchmarks.tasks"], "The program.")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [*flags.FLAGS.program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_figure_is_measured_and_a_quick_run_meets_no_bar() -> None:
    done = run("--quick")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert [one["name"] for one in told["figures"]] == [figure.name for figure in FIGURES]
    for one in told["figures"]:
        assert one["count"] > 0
        assert one["min"] <= one["median"] <= one["max"]
        assert one["median"] > 0
        assert one["met"] is None


def test_flags_that_are_wrong() -> None:
    assert run("--no_such_flag").returncode == 2
    assert run("argument").returncode == 2


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        (JobState.FAILED, ((TaskState.SUCCEEDED, 3),)),
        (JobState.SUCCEEDED, ((TaskState.SUCCEEDED, 2),)),
        (JobState.SUCCEEDED, ((TaskState.SUCCEEDED, 2), (TaskState.FAILED, 1))),
    ],
)
def test_a_job_that_did_not_do_its_work_is_no_figure(
    state: JobState, counts: tuple[tuple[TaskState, int], ...]
) -> None:
    spec = JobSpec(Entrypoint(("true",)), Resources())
    with pytest.raises(WentWrong, match="/a/b"):
        _check(JobView(JobId("/a/b"), spec, state, counts=counts), 3)
