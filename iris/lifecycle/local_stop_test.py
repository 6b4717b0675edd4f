"""Tests of stopping, restarting and asking a local controller, from this process and others."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import config_pb2, controller_pb2, controller_pb2_grpc, job_pb2

from iris.host.processes import ProcessHandle, ProcessIdentity, command_line, descendants
from iris.lifecycle.local import LocalController, LocalTimeouts
from iris.lifecycle.sample_cluster import run_program, sample_config
from iris.model.errors import Internal
from iris.rpc.channels import open_channel
from iris.testing.eventually import assert_eventually
from iris.testing.leaks import LeakCheck

_STOP = "LocalController(config).stop(); print(LocalController(config).status().running)"
_PAUSE = "import signal; print('up', flush=True); signal.pause()"


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    with LeakCheck():
        yield


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


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


def test_stopping_twice(controller: LocalController) -> None:
    record = controller.state_folder.running()
    assert record is not None
    controller.stop()
    assert not record.process.is_alive()
    assert controller.state_folder.read_record() is None
    assert not controller.state_folder.is_locked()
    controller.stop()
    status = controller.status()
    assert (status.running, status.address, status.healthy) == (False, "", False)


def test_stopping_what_was_never_started(tmp_path: Path) -> None:
    controller = LocalController(sample_config(tmp_path / "never"))
    controller.stop()
    assert not (tmp_path / "never").exists()


def test_stopping_from_another_process(
    controller: LocalController, tmp_path: Path, state_dir: Path
) -> None:
    record = controller.state_folder.running()
    assert record is not None
    assert run_program(_STOP, sample_config(state_dir), tmp_path) == "False"
    assert not record.process.is_alive()
    assert controller.discover() is None


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
    tree = descendants(record.process)
    assert sum("sleep 3600" in command_line(process) for process in tree) >= 2
    return (record.process, *tree)


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


def test_a_hung_controller_is_seen_and_can_be_stopped(
    controller: LocalController, state_dir: Path
) -> None:
    record = controller.state_folder.running()
    assert record is not None
    os.kill(record.process.pid, signal.SIGSTOP)
    impatient = LocalController(
        sample_config(state_dir), timeouts=LocalTimeouts(health=timedelta(seconds=0.2))
    )
    status = impatient.status()
    assert status.running
    assert not status.healthy
    assert status.problem.startswith(f"{record.process} runs but does not answer:")
    assert impatient.discover() is None
    impatient.stop()
    assert not record.process.is_alive()


def test_another_cluster_at_the_published_address(
    controller: LocalController, tmp_path: Path
) -> None:
    other = LocalController(sample_config(tmp_path / "other"), attached=True)
    other.start()
    try:
        mine, theirs = controller.state_folder, other.state_folder
        fields = json.loads(theirs.record_file.read_bytes())
        record = mine.read_record()
        assert record is not None
        honest = mine.record_file.read_bytes()
        fields |= {"pid": record.process.pid, "start_time": record.process.start_time}
        fields["incarnation"] = record.incarnation
        mine.record_file.write_text(json.dumps(fields))
        status = controller.status()
        assert not status.healthy
        assert status.problem.startswith("Another cluster, 'sample' (")
        assert controller.discover() is None
        mine.record_file.write_bytes(honest)
        assert controller.status().healthy
    finally:
        other.stop()


def test_stop_says_what_is_left(state_dir: Path) -> None:
    hasty = LocalTimeouts(leftovers=timedelta(seconds=0.1))
    controller = LocalController(sample_config(state_dir), attached=True, timeouts=hasty)
    controller.start()
    home = state_dir / "cache" / "vms" / "vm" / "home"
    fake = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PAUSE],
        env={"IRIS_ATTEMPT_ID": "attempt-1", "HOME": str(home)},
        stdout=subprocess.PIPE,
    )
    with fake:
        try:
            assert fake.stdout is not None
            assert fake.stdout.readline() == b"up\n"
            (state_dir / ".token.x.tmp").touch()
            with pytest.raises(Internal) as caught:
                controller.stop()
            said = str(caught.value)
            assert said.startswith("Cluster 'sample' was stopped but left behind: ")
            assert f"pid {fake.pid} ({sys.executable}"[:60] in said
            assert f"temporary file {state_dir / '.token.x.tmp'}" in said
        finally:
            fake.kill()
    (state_dir / ".token.x.tmp").unlink()
    controller.stop()


def test_a_stranger_is_not_taken_for_ours(controller: LocalController, tmp_path: Path) -> None:
    stranger = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PAUSE],
        env={"IRIS_ATTEMPT_ID": "attempt-1", "HOME": str(tmp_path / "elsewhere")},
        stdout=subprocess.PIPE,
    )
    with stranger:
        try:
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == b"up\n"
            controller.stop()
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_good_order(controller: LocalController, signum: signal.Signals) -> None:
    record = controller.state_folder.running()
    assert record is not None
    with ProcessHandle.open(record.process) as handle:
        handle.send(signum)
        assert handle.wait(30)
    assert controller.state_folder.read_record() is None
    assert not controller.state_folder.is_locked()
    log = controller.state_folder.controller_log.read_text()
    assert log.endswith("stopped\n")
    assert " E " not in log
