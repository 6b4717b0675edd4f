"""Nothing pretends to have 1,000 processors: a cluster lends what there is or what its file says, all
its slices together stay within that, and a task stays within what it asked for.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from iris.client import Client
from iris.host.budget import usable_cpu_millis, usable_memory
from iris.lifecycle.cluster_manager import ClusterManager
from iris.model.errors import FailedPrecondition, InvalidArgument
from iris.model.ids import JobId
from iris.model.resources import MIB, Resources
from iris.model.states import JobState, TaskState
from iris.testing.eventually import assert_eventually
from tests.local_platform.platform_fixture import (
    PATIENCE,
    SMALL,
    client_of,
    lines,
    platform_config,
    python_job,
    run_to_end,
    running_cluster,
)

_ALL_OF_A_VM = Resources(cpu_millis=500, memory_bytes=128 * MIB)
_WAIT = """
import pathlib, sys, time
print("up", flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
"""
# Touches what it takes, or it would not be used.
_EAT = "hoard = bytearray(256 << 20); hoard[::4096] = b'x' * len(hoard[::4096]); print('had it')"


async def test_unless_told_otherwise_it_lends_what_this_process_may_really_use(
    tmp_path: Path,
) -> None:
    config = platform_config(tmp_path)
    config.controller_vm.local.ClearField("machine")
    config.scale_groups["cpu"].min_slices = 1
    with running_cluster(config) as manager:
        async with client_of(manager) as client:
            job = await run_to_end(client, "any", python_job("", resources=SMALL))
            cluster = await client.cluster_status()
    assert job.state is JobState.SUCCEEDED
    machine = cluster.machine
    assert machine is not None
    assert machine.total.cpu_millis == usable_cpu_millis() <= (os.cpu_count() or 0) * 1000
    assert machine.total.memory_bytes == usable_memory()
    assert not machine.oversubscribed
    for worker in cluster.workers:
        (group,) = [one for one in cluster.groups if one.name == worker.scale_group]
        assert worker.total.cpu_millis == group.vm.cpu_millis, "the shape of its group"


def test_more_than_there_is_is_an_error_with_both_numbers(tmp_path: Path) -> None:
    config = platform_config(tmp_path)
    config.scale_groups["cpu"].vm.cpu = 1_000_000
    manager = ClusterManager(config)
    with pytest.raises(InvalidArgument, match=r"needs 1000 cores.*budget is 2 cores"):
        manager.start()
    assert not manager.controller.status().running


async def test_all_slices_together_stay_within_the_budget(tmp_path: Path) -> None:
    config = platform_config(tmp_path)
    config.controller_vm.local.machine.cpu = 900  # one slice of `cpu`, and not two
    gate = tmp_path / "gate"
    with running_cluster(config) as manager:
        async with client_of(manager) as client:
            job_id = JobId("/ada/two")
            await client.launch(
                job_id, python_job(_WAIT, str(gate), replicas=2, resources=_ALL_OF_A_VM)
            )

            async def refused() -> str:
                """Why there is no second machine."""
                groups = {one.name: one for one in (await client.cluster_status()).groups}
                return groups["cpu"].problem

            problem = await assert_eventually(refused, "a second slice is refused")
            machine = (await client.cluster_status()).machine
            running = (await client.get(job_id)).count(TaskState.RUNNING)
            gate.touch()
            job = await client.wait(job_id, PATIENCE)
    assert "0.5 cores" in problem, problem
    assert machine is not None
    assert machine.reserved.cpu_millis == 500
    assert machine.total.cpu_millis == 900
    assert running <= 1
    assert job.state is JobState.SUCCEEDED, "one after the other"
    assert len({task.attempts[0].worker_id for task in job.tasks}) == 1


async def test_a_task_is_held_to_what_it_asked_for(tmp_path: Path) -> None:
    with running_cluster(platform_config(tmp_path)) as manager:
        async with client_of(manager) as client:
            eater = python_job(_EAT, resources=replace(SMALL, memory_bytes=48 * MIB))
            job = await run_to_end(client, "eater", eater)
            assert await lines(client, job.job_id) == []
            huge = python_job("", resources=replace(SMALL, cpu_millis=1_000_000))
            with pytest.raises(FailedPrecondition, match="needs 1000 cores, nearest is"):
                await client.launch(JobId("/ada/huge"), huge)
            await _check_that_it_is_well(client)
    assert job.state is JobState.FAILED
    (attempt,) = job.tasks[0].attempts
    assert "memory" in attempt.error, attempt.error
    assert "48 MiB" in attempt.error, attempt.error


async def _check_that_it_is_well(client: Client) -> None:
    job = await run_to_end(client, "well", python_job("print('well')"))
    assert job.state is JobState.SUCCEEDED
