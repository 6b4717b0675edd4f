"""What runs on while a controller becomes another, and what does not."""

import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.client.client import Client
from iris.client.views import TaskView
from iris.config import config_to_yaml, parse_config
from iris.host.files import FileLock
from iris.host.processes import ProcessIdentity, descendants
from iris.lifecycle.local.controller import LocalController, LocalTimeouts
from iris.lifecycle.local.sample_cluster import run_program, sample_config
from iris.model.errors import FailedPrecondition
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import MIB, Resources
from iris.model.states import JobState, TaskState
from iris.testing.eventually import assert_eventually

_JOB = JobId("/ada/counter")
_LINES = 3
# Says a line whenever its next gate is opened, and ends after the last.
_COUNTER = "echo ready; for n in 1 2 3; do read line < $GATES.$n; echo line $n; done"


@pytest.fixture
def config(state_dir: Path) -> config_pb2.ClusterConfig:
    return sample_config(state_dir, hosting=config_pb2.SUBPROCESS)


@pytest.fixture
def controller(config: config_pb2.ClusterConfig) -> Iterator[LocalController]:
    controller = LocalController(config)
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Named pipes that the task reads from, one after the other: `gate.1` and so on."""
    path = tmp_path / "gate"
    for number in range(1, _LINES + 1):
        os.mkfifo(f"{path}.{number}")
    return path


@asynccontextmanager
async def _client(controller: LocalController) -> AsyncIterator[Client]:
    with controller.connect() as connection:
        async with Client.connect(connection.address, connection.token) as client:
            yield client


async def _begin(controller: LocalController, gate: Path) -> None:
    """Starts the counting task, and returns once it runs."""
    spec = JobSpec(
        Entrypoint(("sh", "-c", _COUNTER.replace("$GATES", str(gate)))),
        Resources(100, 16 * MIB),
        max_retries_preemption=10,
    )
    async with _client(controller) as client:
        await client.launch(_JOB, spec)
    await _until_attempts(controller, 1)


async def _task(controller: LocalController) -> TaskView:
    async with _client(controller) as client:
        (task,) = (await client.get(_JOB)).tasks
        return task


async def _until_attempts(controller: LocalController, attempts: int) -> None:
    async def runs() -> bool:
        task = await _task(controller)
        return task.state is TaskState.RUNNING and len(task.attempts) == attempts

    await assert_eventually(runs, f"attempt {attempts} runs")


def _open(gate: Path, number: int) -> None:
    """Lets the task say that line; returns once it waits there."""
    Path(f"{gate}.{number}").write_text("go\n")


async def _finish(controller: LocalController, gate: Path, first: int = 1) -> list[bytes]:
    """Opens the gates from that one on. The task's lines, once it has ended well."""
    for number in range(first, _LINES + 1):
        _open(gate, number)
    async with _client(controller) as client:
        job = await client.wait(_JOB)
        assert job.state is JobState.SUCCEEDED
        assert job.tasks[0].attempts[-1].logs_complete
        return [line.data async for line in client.tail_logs(job.tasks[0].task_id)]


def _tree(controller: LocalController) -> set[ProcessIdentity]:
    record = controller.state_folder.running()
    assert record is not None
    return {record.process, *descendants(record.process)}


async def test_a_task_never_notices(controller: LocalController, gate: Path) -> None:
    await _begin(controller, gate)
    address = controller.discover()
    tree = _tree(controller)
    _open(gate, 1)
    for _ in range(3):
        assert controller.reload().healthy
        assert controller.discover() == address, "workers and tasks know no other"
    assert tree <= _tree(controller), "not one process of it has ended"
    assert await _finish(controller, gate, first=2) == [b"ready", b"line 1", b"line 2", b"line 3"]
    assert len((await _task(controller)).attempts) == 1


async def test_the_reload_may_come_from_any_process(
    controller: LocalController, config: config_pb2.ClusterConfig, gate: Path, tmp_path: Path
) -> None:
    await _begin(controller, gate)
    assert (
        run_program("print(LocalController(config).reload().healthy)", config, tmp_path) == "True"
    )
    assert await _finish(controller, gate) == [b"ready", b"line 1", b"line 2", b"line 3"]
    assert len((await _task(controller)).attempts) == 1


async def test_slices_of_another_shape_are_replaced(
    controller: LocalController, config: config_pb2.ClusterConfig, gate: Path
) -> None:
    await _begin(controller, gate)
    old = _tree(controller)
    other = parse_config(config_to_yaml(config), "other.yaml")
    other.scale_groups["cpu"].vm.cpu += 1
    reloaded = LocalController(other)
    assert reloaded.reload().healthy
    await _until_attempts(reloaded, 2)
    assert len(old & _tree(reloaded)) == 1, "only the controller is the same process"
    assert (await _finish(reloaded, gate))[-1] == b"line 3"


async def test_slices_of_a_group_that_is_no_more_are_ended(
    controller: LocalController, config: config_pb2.ClusterConfig, gate: Path
) -> None:
    await _begin(controller, gate)
    old = _tree(controller)
    other = parse_config(config_to_yaml(config), "other.yaml")
    other.scale_groups["new"].CopyFrom(config.scale_groups["cpu"])
    del other.scale_groups["cpu"]
    reloaded = LocalController(other)
    assert reloaded.reload().healthy
    await _until_attempts(reloaded, 2)
    assert len(old & _tree(reloaded)) == 1
    assert (await _finish(reloaded, gate))[-1] == b"line 3"


async def test_a_worker_that_dies_meanwhile_is_noticed(
    controller: LocalController, gate: Path
) -> None:
    await _begin(controller, gate)
    (record,) = (controller.state_folder.path / "cache" / "vms").glob("*/worker.json")
    worker = ProcessIdentity(**json.loads(record.read_text()))
    reload = threading.Thread(target=controller.reload)
    reload.start()
    os.kill(worker.pid, signal.SIGKILL)
    reload.join()
    await _until_attempts(controller, 2)
    assert (await _finish(controller, gate))[-1] == b"line 3"


async def test_what_runs_in_the_controller_runs_again(state_dir: Path, gate: Path) -> None:
    controller = LocalController(sample_config(state_dir))
    controller.start()
    try:
        await _begin(controller, gate)
        assert controller.reload().healthy
        await _until_attempts(controller, 2)
        assert (await _finish(controller, gate))[-1] == b"line 3"
    finally:
        controller.stop()


async def test_one_that_hangs_is_restarted(
    controller: LocalController, config: config_pb2.ClusterConfig
) -> None:
    before = controller.state_folder.running()
    assert before is not None
    os.kill(before.process.pid, signal.SIGSTOP)
    hasty = LocalController(config, timeouts=LocalTimeouts(health=timedelta(seconds=0.5)))
    assert hasty.reload().healthy
    assert not before.process.is_alive()


def test_one_reload_at_a_time(controller: LocalController) -> None:
    lock = FileLock(controller.state_folder.path / "reload.lock")
    assert lock.acquire()
    with pytest.raises(FailedPrecondition, match="being reloaded"):
        controller.reload()
    lock.let_go()
    assert controller.reload().healthy


def test_a_signal_without_a_request_changes_nothing(controller: LocalController) -> None:
    before = controller.state_folder.running()
    assert before is not None
    os.kill(before.process.pid, signal.SIGUSR1)
    assert controller.status().healthy
    assert controller.state_folder.running() == before


async def test_an_attached_one_still_ends_with_its_starter(
    config: config_pb2.ClusterConfig, tmp_path: Path
) -> None:
    program = (
        "controller = LocalController(config, attached=True)\n"
        "controller.start()\n"
        "controller.reload()\n"
        "print(controller.state_folder.running().process.pid)\n"
    )
    pid = int(run_program(program, config, tmp_path))
    folder = LocalController(config).state_folder
    await assert_eventually(lambda: not folder.is_locked(), f"pid {pid} ends")
