"""The demo against a controller whose jobs the test ends."""

import asyncio
from pathlib import Path

import pytest
from iris_proto import job_pb2

from iris.bundle import inspect_archive
from iris.cli.fake_person import FakePerson
from iris.client import Client, ScaleGroupView
from iris.client.fake_controller import TOKEN, FakeController
from iris.model.job import Gang
from iris.model.resources import GIB, Resources
from iris.testing.eventually import assert_eventually
from iris.testing.ids import CountedIds
from tools.local_cluster_demo import Demo, demo_jobs

CPU = ScaleGroupView("cpu", "local", Resources(1000, GIB), 1, 0, 1, 10)
TPU = ScaleGroupView("tpu", "local", Resources(250, GIB), 4, 0, 1, 20, "v5litepod-16")


def test_the_gang_gets_a_task_on_each_vm() -> None:
    jobs = {job.name: job for job in demo_jobs((CPU, TPU), 1234)}
    assert list(jobs) == ["hello", "three", "ring", "failing"]
    ring = jobs["ring"].spec
    assert (ring.replicas, ring.gang, ring.port_names) == (4, Gang("tpu-name"), ("ring",))
    assert ring.resources.accelerators == (("tpu/v5litepod-16", 4),)
    assert ("RING_COORDINATOR_PORT", "1234") in ring.env


def test_without_a_slice_for_it_there_is_no_gang() -> None:
    assert [job.name for job in demo_jobs((CPU,), 1234)] == ["hello", "three", "failing"]


async def end(controller: FakeController, name: str, code: int) -> None:
    """Lets each task of the job write a line and exit."""
    job_id = f"/demo/{name}-1"
    await assert_eventually(lambda: job_id in controller.jobs, f"{job_id} is submitted")
    job = job_pb2.JobStatus()
    job.CopyFrom(controller.jobs[job_id])
    state = job_pb2.TASK_FAILED if code else job_pb2.TASK_SUCCEEDED
    for index in range(job.spec.replicas):
        task = job.tasks.add(task_id=f"{job_id}/{index}", index=index, state=state)
        attempt = task.attempts.add(worker_id="w", state=state, exit_code=code, logs_complete=True)
        attempt.started_at.FromSeconds(1000)
        attempt.finished_at.FromSeconds(1002)
        await controller.write(f"{job_id}/{index}", f"{name} {index} wrote this")
    job.started_at.FromSeconds(1000)
    job.finished_at.FromSeconds(1002)
    job.counts.add(state=state, tasks=job.spec.replicas)
    job.state = job_pb2.JOB_FAILED if code else job_pb2.JOB_SUCCEEDED
    await controller.put_job(job)


@pytest.mark.parametrize(
    ("codes", "as_meant"), [((0, 0, 1), True), ((0, 3, 1), False), ((0, 0, 0), False)]
)
async def test_jobs_run_side_by_side_and_are_shown(
    tmp_path: Path, codes: tuple[int, int, int], as_meant: bool
) -> None:
    person = FakePerson(tmp_path)
    terminal, clock = person.context.terminal, person.context.clock
    async with (
        FakeController().serve() as controller,
        Client.connect(controller.address, TOKEN) as client,
    ):
        demo = Demo(
            client,
            terminal,
            demo_jobs((CPU,), 1234),
            clock=clock,
            ids=CountedIds(),
            command="bazel-bin/tools/iris",
        )
        running = asyncio.create_task(demo.run())
        for name, code in zip(("hello", "three", "failing"), codes, strict=True):
            await end(controller, name, code)
        assert await running is as_meant
        archives = list(controller.bundles.values())

    text = person.stdout
    assert "    | hello 0 wrote this\n" in text
    if codes == (0, 0, 1):
        assert "    | [2] three 2 wrote this\n" in text
        assert "✔ failing  a mistake, explained\n    /demo/failing-1 failed after 2.0 s\n" in text
        assert "      task 0 exited with code 1 on w\n" in text
        assert "bazel-bin/tools/iris job logs /demo/failing-1" in text
    assert text.count("✘") == (0 if as_meant else 1)

    for number, archive in enumerate(archives):
        path = tmp_path / f"{number}.tar.gz"
        path.write_bytes(archive)
        assert inspect_archive(path).entries == 1


async def test_what_an_earlier_demo_left_is_ended_first(tmp_path: Path) -> None:
    person = FakePerson(tmp_path)
    terminal, clock = person.context.terminal, person.context.clock
    async with (
        FakeController().serve() as controller,
        Client.connect(controller.address, TOKEN) as client,
    ):
        for job_id in ("/demo/old-7", "/ann/train"):
            job = job_pb2.JobStatus(job_id=job_id, state=job_pb2.JOB_RUNNING)
            job.spec.entrypoint.argv.append("true")
            job.spec.replicas = 1
            await controller.put_job(job)
        demo = Demo(client, terminal, (), clock=clock, ids=CountedIds(), command="iris")
        assert await demo.run()
        assert controller.jobs["/demo/old-7"].state == job_pb2.JOB_KILLED
        assert controller.jobs["/ann/train"].state == job_pb2.JOB_RUNNING
