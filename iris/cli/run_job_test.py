"""`iris job run` against a controller whose jobs the test moves on: output, exit codes, Ctrl-C."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from iris_proto import job_pb2

from iris.cli.arguments import JobRun, parse_arguments
from iris.cli.errors import UsageError
from iris.cli.fake_person import FakePerson
from iris.cli.run_job import run_job
from iris.client.fake_controller import TOKEN, Cut, FakeController
from iris.model.errors import AlreadyExists
from iris.testing.eventually import assert_eventually

# What run_job does for `--name train`.
JOB = "/ann/train"


@pytest_asyncio.fixture
async def controller() -> AsyncIterator[FakeController]:
    async with FakeController().serve() as fake:
        yield fake


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text("print('training')\n")
    (tmp_path / "token").write_text(TOKEN)
    return folder


@pytest.fixture
def person(project: Path) -> FakePerson:
    return FakePerson(project)


def flags(controller: FakeController, *more: str) -> JobRun:
    line = [
        "job",
        "run",
        "--address",
        controller.address,
        "--token-file",
        "../token",
        "--name",
        "train",
        *more,
    ]
    command = parse_arguments([*line, "--", "python3", "train.py"])
    assert isinstance(command, JobRun)
    return command


async def submitted(controller: FakeController) -> job_pb2.JobStatus:
    await assert_eventually(lambda: JOB in controller.jobs, "the job is submitted")
    return controller.jobs[JOB]


async def end_job(controller: FakeController, *exits: tuple[int, int]) -> None:
    """Ends the job: for each task its state and exit code; the job fails if a task did."""
    job = job_pb2.JobStatus()
    job.CopyFrom(await submitted(controller))
    del job.tasks[:]
    for index, (state, code) in enumerate(exits):
        task = job.tasks.add(task_id=f"{JOB}/{index}", index=index, state=state)
        attempt = task.attempts.add(
            attempt_uid=f"a-{index}",
            worker_id=f"w-{index}",
            state=state,
            exit_code=code,
            logs_complete=True,
        )
        attempt.started_at.FromSeconds(1000)
        attempt.finished_at.FromSeconds(1001 + index)
        job.counts.add(state=state, tasks=1)
    job.started_at.FromSeconds(1000)
    job.finished_at.FromSeconds(1002)
    failed = any(code for _, code in exits)
    job.state = job_pb2.JOB_FAILED if failed else job_pb2.JOB_SUCCEEDED
    await controller.put_job(job)


async def test_a_job_that_succeeds(controller: FakeController, person: FakePerson) -> None:
    running = asyncio.create_task(run_job(flags(controller), person.context))
    job = await submitted(controller)
    await controller.write(f"{JOB}/0", "epoch 1", "epoch 2")
    await controller.write(f"{JOB}/0", "a warning", stream=job_pb2.STDERR)
    await end_job(controller, (job_pb2.TASK_SUCCEEDED, 0))

    assert await running == 0
    assert person.stdout == "epoch 1\nepoch 2\n"
    assert "a warning\n" in person.stderr
    assert "project: 1 file, 18 B, sent" in person.stderr
    assert f"iris: {JOB} submitted" in person.stderr
    assert f"iris: {JOB} succeeded after 2.0 s" in person.stderr
    assert list(job.spec.entrypoint.argv) == ["python3", "train.py"]
    assert job.spec.bundle_digest in controller.bundles


async def test_a_job_that_fails_is_explained(
    controller: FakeController, person: FakePerson
) -> None:
    running = asyncio.create_task(run_job(flags(controller, "--replicas", "2"), person.context))
    await submitted(controller)
    await controller.write(f"{JOB}/0", "fine")
    await controller.write(f"{JOB}/1", *(f"line {number}" for number in range(20)))
    await end_job(controller, (job_pb2.TASK_SUCCEEDED, 0), (job_pb2.TASK_FAILED, 7))

    assert await running == 7
    assert "[0] fine\n" in person.stdout
    assert "[1] line 0\n" in person.stdout
    explained = person.stderr[person.stderr.index(f"{JOB} failed") :]
    assert "task 1 exited with code 7 on w-1" in explained
    assert "| line 9\n" not in explained
    assert "    | line 10\n" in explained
    assert "    | line 19\n" in explained
    assert "iris job logs train" in explained


async def test_progress_is_told_in_plain_lines(
    controller: FakeController, person: FakePerson
) -> None:
    running = asyncio.create_task(run_job(flags(controller), person.context))
    job = job_pb2.JobStatus()
    job.CopyFrom(await submitted(controller))
    task = job.tasks.add(task_id=f"{JOB}/0", state=job_pb2.TASK_PENDING)
    task.pending.code = job_pb2.LAUNCHING_CAPACITY
    task.pending.subject = "cpu"
    job.counts.add(state=job_pb2.TASK_PENDING, tasks=1)
    await controller.put_job(job)
    told = f"iris: {JOB}: pending: a slice is being launched (cpu)\n"
    await assert_eventually(lambda: told in person.stderr, "the reason is told")
    await controller.put_job(job)
    await end_job(controller, (job_pb2.TASK_SUCCEEDED, 0))
    await running
    assert person.stderr.count(told) == 1


async def test_detached(controller: FakeController, person: FakePerson) -> None:
    assert await run_job(flags(controller, "--detach", "--no-bundle"), person.context) == 0
    assert person.stdout == f"{JOB}\n"
    assert controller.jobs[JOB].spec.bundle_digest == ""
    assert not controller.bundles


async def test_ctrl_c_cancels_the_job_and_follows_it_to_its_end(
    controller: FakeController, person: FakePerson
) -> None:
    running = asyncio.create_task(run_job(flags(controller), person.context))
    await submitted(controller)
    await controller.write(f"{JOB}/0", "working")
    await assert_eventually(lambda: "working" in person.stdout, "the output is shown")

    os.kill(os.getpid(), signal.SIGINT)

    assert await running == 130
    assert [request.job_id for request in controller.requests["TerminateJob"]] == [JOB]
    assert "cancelling /ann/train (Ctrl-C again leaves at once)" in person.stderr
    assert f"{JOB} was cancelled" in person.stderr


async def test_ctrl_c_before_anything_is_submitted(
    controller: FakeController, person: FakePerson
) -> None:
    controller.cuts["HasBundle"] = [(0, Cut.SILENCE)]
    running = asyncio.create_task(run_job(flags(controller), person.context))
    await assert_eventually(
        lambda: controller.requests["HasBundle"], "the bundle is about to be sent"
    )

    os.kill(os.getpid(), signal.SIGINT)

    assert await running == 130
    assert "nothing was submitted" in person.stderr
    assert not controller.jobs


async def test_the_same_job_again_is_followed(
    controller: FakeController, person: FakePerson
) -> None:
    await run_job(flags(controller, "--detach"), person.context)
    running = asyncio.create_task(run_job(flags(controller), person.context))
    await assert_eventually(lambda: "was there already" in person.stderr, "it is said")
    await end_job(controller, (job_pb2.TASK_SUCCEEDED, 0))
    assert await running == 0


async def test_a_job_that_is_kept_or_replaced(
    controller: FakeController, person: FakePerson
) -> None:
    await run_job(flags(controller, "--detach", "--existing=replace"), person.context)
    assert f"iris: a job {JOB} that has not ended is ended first\n" in person.stderr
    await run_job(flags(controller, "--detach", "--existing=keep"), person.context)
    assert f"iris: {JOB} was there already and is kept; following it\n" in person.stderr
    asked = controller.requests["LaunchJob"]
    assert [request.policy for request in asked] == [
        job_pb2.EXISTING_JOB_REPLACE,
        job_pb2.EXISTING_JOB_KEEP,
    ]


@pytest.mark.parametrize(
    ("more", "band"),
    [
        ((), job_pb2.PRIORITY_BAND_UNSPECIFIED),
        (("--priority=interactive",), job_pb2.INTERACTIVE),
        (("--priority=production",), job_pb2.PRODUCTION),
    ],
)
async def test_a_band_is_said_or_left_open(
    controller: FakeController, person: FakePerson, more: tuple[str, ...], band: int
) -> None:
    await run_job(flags(controller, "--detach", *more), person.context)
    assert controller.requests["LaunchJob"][0].spec.priority == band


async def test_a_name_that_is_taken(controller: FakeController, person: FakePerson) -> None:
    await run_job(flags(controller, "--detach"), person.context)
    with pytest.raises(AlreadyExists):
        await run_job(flags(controller, "--cpu", "2"), person.context)


async def test_a_home_is_refused_before_anyone_is_asked(
    controller: FakeController, person: FakePerson
) -> None:
    person.environment["HOME"] = str(person.context.folder)
    with pytest.raises(UsageError, match="your home folder"):
        await run_job(flags(controller), person.context)
    assert not controller.requests
