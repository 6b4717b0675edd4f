"""A controller that is killed while slices come and go: the next one meets nothing of them."""

import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.client.client import Client
from iris.config import parse_config
from iris.host.processes import ProcessIdentity, all_processes, descendants
from iris.lifecycle.local.controller import LocalController
from iris.model.ids import JobId
from iris.model.job import Entrypoint, Gang, JobSpec
from iris.model.resources import MIB, Resources
from iris.model.states import JobState
from iris.testing.eventually import assert_eventually

SEED = int(os.environ.get("TEST_RANDOM_SEED", "0"))
_CONFIG = """
name: crash
controller_vm:
  local:
    state_dir: {state_dir}
    workers: SUBPROCESS
    machine: {{cpu: 1, memory: 1GiB, disk: 1GiB, oversubscribe: true}}
scale_groups:
  one:
    provider: {{local: {{}}}}
    vm: {{cpu: 500m, memory: 64MiB, disk: 64MiB}}
    max_slices: 3
  pair:
    provider: {{local: {{}}}}
    vm: {{cpu: 900m, memory: 64MiB, disk: 64MiB}}
    vms_per_slice: 2
    max_slices: 2
autoscaler: {{idle_timeout: 0.2s, interval: 0.2s}}
worker: {{stop_grace: 0.2s}}
"""
_SINGLES, _GANG = JobId("/ada/singles"), JobId("/ada/gang")
# What both jobs need together.
_VMS = 3 + 2


@pytest.fixture
def controller(state_dir: Path) -> LocalController:
    config = parse_config(_CONFIG.format(state_dir=state_dir), "crash.yaml")
    assert isinstance(config, config_pb2.ClusterConfig)
    return LocalController(config)


@pytest.mark.parametrize("part", range(3))
async def test_while_it_scales_up(controller: LocalController, part: int) -> None:
    vms = _random(part).randint(0, _VMS)
    controller.start()
    try:
        await _launch(controller)
        await _until_vms(controller, lambda there: there >= vms, f"{vms} VMs are there")
        await _kill(controller)
        await _check_after(controller)
    finally:
        controller.stop()


@pytest.mark.parametrize("part", range(3))
async def test_while_it_scales_down(controller: LocalController, part: int) -> None:
    vms = _random(part).randint(0, _VMS)
    controller.start()
    try:
        await _launch(controller)
        await _until_vms(controller, lambda there: there == _VMS, f"{_VMS} VMs are there")
        await _terminate(controller)
        await _until_vms(controller, lambda there: there <= vms, f"{vms} VMs are left")
        await _kill(controller)
        await _check_after(controller)
    finally:
        controller.stop()


def _random(part: int) -> random.Random:
    print(f"TEST_RANDOM_SEED={SEED}, part {part}")
    return random.Random(f"{SEED}-{part}")


@asynccontextmanager
async def _client(controller: LocalController) -> AsyncIterator[Client]:
    with controller.connect() as connection:
        async with Client.connect(connection.address, connection.token) as client:
            yield client


async def _launch(controller: LocalController) -> None:
    entrypoint = Entrypoint(("sleep", "3600"))
    singles = JobSpec(entrypoint, Resources(400, 16 * MIB), replicas=3)
    gang = JobSpec(entrypoint, Resources(800, 16 * MIB), replicas=2, gang=Gang("slice-id"))
    async with _client(controller) as client:
        await client.launch(_SINGLES, singles)
        await client.launch(_GANG, gang)


async def _terminate(controller: LocalController) -> None:
    async with _client(controller) as client:
        for job_id in (_SINGLES, _GANG):
            await client.terminate(job_id, "enough")


async def _until_vms(controller: LocalController, so: Callable[[int], bool], what: str) -> None:
    """By the workers that were started and are not gone."""
    vms = controller.state_folder.path / "cache" / "vms"
    await assert_eventually(lambda: so(len(list(vms.glob("*/worker.json")))), what)


async def _kill(controller: LocalController) -> None:
    record = controller.state_folder.running()
    assert record is not None
    os.kill(record.process.pid, signal.SIGKILL)
    await assert_eventually(lambda: not record.process.is_alive(), "the controller is dead")


async def _check_after(controller: LocalController) -> None:
    """The next one has all to itself, knows the jobs, and its machines do their work."""
    left = _processes(controller)
    assert controller.start().healthy
    # A worker that was just being started ends by itself; the others have been ended before.
    await assert_eventually(
        lambda: not any(process.is_alive() for process in left), f"{left} are gone"
    )
    record = controller.state_folder.running()
    assert record is not None
    tree = {record.process, *descendants(record.process)}
    strangers = [one for one in _processes(controller) - tree if one.is_alive()]
    # Whoever was started since the tree was looked at is below it by now.
    assert not set(strangers) - set(descendants(record.process))
    await _terminate(controller)
    async with _client(controller) as client:
        for job_id in (_SINGLES, _GANG):
            assert (await client.wait(job_id)).state is JobState.KILLED
        after = JobId("/ada/after")
        await client.launch(after, JobSpec(Entrypoint(("true",)), Resources(400, 16 * MIB)))
        assert (await client.wait(after)).state is JobState.SUCCEEDED
        status = await client.cluster_status()
    assert {group.name for group in status.groups} == {"one", "pair"}


def _processes(controller: LocalController) -> set[ProcessIdentity]:
    """Of controllers, workers and tasks: all who are at home in its folder."""
    home = str(controller.state_folder.path)
    found = set()
    for process in all_processes():
        try:
            where = os.readlink(f"/proc/{process.pid}/cwd")
        except OSError:
            continue
        if where == home or where.startswith(f"{home}/"):
            found.add(process)
    return found
