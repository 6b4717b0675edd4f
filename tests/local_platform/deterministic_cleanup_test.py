"""However a cluster ends and whatever was going on, once `stop` returns no process, port, socket,
thread or temporary file of it is left, and the next start finds a clean place with all its jobs.
"""

import os
import signal
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.client import Client
from iris.host.processes import ProcessIdentity, command_line, descendants
from iris.lifecycle.cluster_manager import ClusterManager
from iris.lifecycle.state_folder import working_folders_of
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import ATTRIBUTE_SCALE_GROUP
from iris.model.ids import JobId
from iris.model.job import ExistingJobPolicy
from iris.model.resources import MIB, Resources
from iris.model.states import JobState, TaskState
from iris.testing.eventually import assert_eventually
from tests.local_platform.platform_fixture import (
    PATIENCE,
    client_of,
    lines,
    platform_config,
    python_job,
    running_cluster,
)

# A tree that nobody ends by asking: it ignores SIGTERM, and has a daemon in a session of its own.
_STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "3600"], start_new_session=True)
print("up", flush=True)
while True:
    signal.pause()
"""
_HALF = Resources(cpu_millis=250, memory_bytes=128 * MIB)
_JOBS = {"cpu": JobId("/ada/one"), "tpu": JobId("/ada/two")}
# What outlives a cluster, of its own will: docs/architecture.md says what each is for.
_KEPT = {
    "bundles",
    "cache",
    "config.yaml",
    "controller.db",
    "controller.db.lock",
    "controller.lock",
    "controller.log",
    "leases",
    "logs",
    "startup.log",
    "token",
}
# The database's own, where the controller could not close it.
_KILLED = {"controller.db-shm", "controller.db-wal"}


async def _make_busy(client: Client, manager: ClusterManager) -> list[ProcessIdentity]:
    """Tasks that run on machines of both groups, and more that wait for machines that cannot come."""
    for group, job_id in _JOBS.items():
        there = Constraint(ATTRIBUTE_SCALE_GROUP, ConstraintOp.EQ, (group,))
        spec = python_job(
            _STUBBORN, replicas=6, resources=_HALF, port_names=("a",), constraints=(there,)
        )
        await client.launch(job_id, spec)

    async def busy() -> bool:
        return all([await lines(client, job_id) for job_id in _JOBS.values()])

    await assert_eventually(busy, "both jobs run")
    record = manager.state_folder.running()
    assert record is not None
    tree = descendants(record.process)
    assert any("sleep 3600" in command_line(process) for process in tree)
    return [record.process, *tree]


def _check_nothing_is_left(config: config_pb2.ClusterConfig, manager: ClusterManager) -> None:
    folder = manager.state_folder
    assert folder.read_record() is None
    assert not folder.is_locked()
    working = working_folders_of(config, folder)
    assert list(working.vms.glob("*")) == []
    assert list(folder.temporary.glob("*")) == []
    assert {path.name for path in folder.path.iterdir()} <= _KEPT | _KILLED


async def test_stopped_in_the_middle_of_everything(tmp_path: Path) -> None:
    config = platform_config(tmp_path)
    with running_cluster(config) as manager:
        async with client_of(manager) as client:
            processes = await _make_busy(client, manager)
    assert not any(process.is_alive() for process in processes)
    _check_nothing_is_left(config, manager)
    log = manager.state_folder.controller_log.read_text()
    assert log.endswith("stopped\n")
    assert " E " not in log, log
    await _check_that_the_next_one_goes_on(config)


async def _check_that_the_next_one_goes_on(config: config_pb2.ClusterConfig) -> None:
    """The jobs are known, and run again without that having been a failure of theirs."""
    with running_cluster(config) as manager:
        async with client_of(manager) as client:
            for job_id in _JOBS.values():
                job = await client.get(job_id)
                assert job.count(TaskState.FAILED, TaskState.KILLED) == 0
                await client.terminate(job_id, "enough")
                assert (await client.wait(job_id, PATIENCE)).state is JobState.KILLED
            replaced = await client.launch(
                _JOBS["cpu"], python_job("print('ran')"), policy=ExistingJobPolicy.REPLACE
            )
            assert replaced.created
            assert (await client.wait(_JOBS["cpu"], PATIENCE)).state is JobState.SUCCEEDED


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
async def test_also_if_the_controller_ends_first(tmp_path: Path, signum: signal.Signals) -> None:
    """Told to end it does all of that itself; of one that was killed `stop` ends what is left."""
    config = platform_config(tmp_path)
    with running_cluster(config) as manager:
        async with client_of(manager) as client:
            processes = await _make_busy(client, manager)
        os.kill(processes[0].pid, signum)
        if signum is signal.SIGTERM:
            await assert_eventually(
                lambda: not any(process.is_alive() for process in processes), "all of them end"
            )
            _check_nothing_is_left(config, manager)
    assert not any(process.is_alive() for process in processes)
    _check_nothing_is_left(config, manager)
    manager.stop()
