"""Tests of what becomes of jobs when their controller stops, dies or starts again."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import config_pb2, controller_pb2, controller_pb2_grpc, job_pb2

from iris.host.processes import ProcessIdentity, command_line, descendants
from iris.lifecycle.local.controller import LocalController, LocalTimeouts
from iris.lifecycle.local.sample_cluster import sample_config
from iris.rpc.channels import open_channel
from iris.testing.eventually import assert_eventually


@pytest.fixture
def controller(state_dir: Path) -> Iterator[LocalController]:
    controller = LocalController(sample_config(state_dir), attached=True)
    controller.start()
    yield controller
    controller.stop()


@asynccontextmanager
async def _stub(
    controller: LocalController,
) -> AsyncIterator[controller_pb2_grpc.ControllerServiceStub]:
    """Calls to the controller as it is reached now."""
    channel = open_channel(controller.status().address, controller.state_folder.read_token())
    try:
        yield controller_pb2_grpc.ControllerServiceStub(channel)
    finally:
        await channel.close()


async def _launch(controller: LocalController, job_id: str, *argv: str) -> None:
    spec = job_pb2.JobSpec(
        entrypoint=job_pb2.Entrypoint(argv=argv),
        resources=job_pb2.Resources(cpu_millis=100, memory_bytes=1 << 24),
        replicas=1,
        max_retries_preemption=100,
    )
    async with _stub(controller) as stub:
        await stub.LaunchJob(controller_pb2.LaunchJobRequest(job_id=job_id, spec=spec))


async def _job(controller: LocalController, job_id: str) -> job_pb2.JobStatus:
    async with _stub(controller) as stub:
        return await stub.GetJob(controller_pb2.GetJobRequest(job_id=job_id))


async def _until_running(controller: LocalController, job_id: str, attempts: int = 1) -> None:
    async def running() -> bool:
        (task,) = (await _job(controller, job_id)).tasks
        return task.state == job_pb2.TASK_RUNNING and len(task.attempts) == attempts

    await assert_eventually(running, f"attempt {attempts} of {job_id} runs")


@pytest.fixture(params=[config_pb2.IN_PROCESS, config_pb2.SUBPROCESS], ids=["in", "sub"])
def busy_config(state_dir: Path, request: pytest.FixtureRequest) -> config_pb2.ClusterConfig:
    """Of a cluster that has work to do, with either kind of machines."""
    return sample_config(state_dir, hosting=request.param)


async def _busy(controller: LocalController) -> tuple[ProcessIdentity, ...]:
    """Makes it run something that does not end; all its processes."""
    await _launch(controller, "/ada/sleeper", "sh", "-c", "sleep 3600 & sleep 3600")
    await _until_running(controller, "/ada/sleeper")
    record = controller.state_folder.running()
    assert record is not None

    def sleepers() -> tuple[ProcessIdentity, ...]:
        tree = descendants(record.process)
        # That the task runs is known before its shell has come as far as this.
        assert sum(command_line(process) == "sleep 3600" for process in tree) == 2
        return tree

    return (record.process, *await assert_eventually(sleepers, "both of its processes run"))


async def test_stopping_ends_what_runs(busy_config: config_pb2.ClusterConfig) -> None:
    controller = LocalController(busy_config, attached=True)
    controller.start()
    try:
        tree = await _busy(controller)
    finally:
        controller.stop()
    assert not any(process.is_alive() for process in tree)


async def test_stopping_by_force_does_too(busy_config: config_pb2.ClusterConfig) -> None:
    controller = LocalController(busy_config, attached=True)
    controller.start()
    hasty = LocalController(busy_config, timeouts=LocalTimeouts(stop=timedelta(seconds=0)))
    try:
        tree = await _busy(controller)
    finally:
        hasty.stop()
        controller.stop()
    assert not any(process.is_alive() for process in tree)


async def test_a_killed_controller_takes_what_runs_along(
    busy_config: config_pb2.ClusterConfig,
) -> None:
    controller = LocalController(busy_config, attached=True)
    controller.start()
    try:
        tree = await _busy(controller)
        os.kill(tree[0].pid, signal.SIGKILL)
        await assert_eventually(
            lambda: not any(process.is_alive() for process in tree), "all of them end"
        )
    finally:
        controller.stop()
    assert not list((controller.state_folder.path / "cache" / "vms").glob("*"))


async def test_what_ran_runs_again_after_a_restart(controller: LocalController) -> None:
    before = await _busy(controller)
    assert controller.restart().healthy
    await _until_running(controller, "/ada/sleeper", attempts=2)
    assert not any(process.is_alive() for process in before)
    (task,) = (await _job(controller, "/ada/sleeper")).tasks
    assert (task.failures, task.preemptions) == (0, 1), "it lost its machine"


@pytest.mark.parametrize("how", ["restart", "reload"])
async def test_jobs_survive(controller: LocalController, how: str) -> None:
    await _launch(controller, "/ada/done", "true")

    async def succeeded() -> bool:
        return (await _job(controller, "/ada/done")).state == job_pb2.JOB_SUCCEEDED

    await assert_eventually(succeeded, "the job succeeds")
    before = controller.state_folder.running()
    token = controller.state_folder.read_token()
    status = controller.restart() if how == "restart" else controller.reload()
    assert status.healthy
    after = controller.state_folder.running()
    assert before is not None
    assert after is not None
    assert before.incarnation != after.incarnation
    assert controller.state_folder.read_token() == token
    assert await succeeded()
