"""All groups and workers of a cluster share one space of ports, also where each worker is a process
of its own: no two tasks are ever told the same, each can really be had, and all of them come back.
"""

import fcntl
import json
import os
import signal
from pathlib import Path

from iris.client import Client
from iris.host.ports import PortAllocator
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import ATTRIBUTE_SCALE_GROUP
from iris.model.ids import JobId
from iris.model.states import JobState
from iris.testing.eventually import assert_eventually
from tests.local_platform.platform_fixture import (
    PATIENCE,
    client_of,
    lines,
    platform_config,
    python_job,
    running_cluster,
    worker_processes,
)

# Holds its ports until every other task has said that it has its own.
_TASK = """
import json, os, pathlib, socket, sys, time
ports = {name: int(os.environ[f"IRIS_PORT_{name}"]) for name in ("HTTP", "METRICS")}
servers = [socket.create_server(("127.0.0.1", port)) for port in ports.values()]
print(json.dumps(ports), flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
"""
_END = """
import pathlib, sys, time
print("up", flush=True)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
sys.exit(sys.argv[2] == "fails")
"""
_TASKS = {"cpu": 4, "tpu": 2}


async def test_tasks_of_all_workers_and_groups_have_different_ports(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    jobs = [JobId(f"/ada/{group}") for group in _TASKS]
    with running_cluster(platform_config(tmp_path)) as manager:
        async with client_of(manager) as client:
            for job_id, (group, tasks) in zip(jobs, _TASKS.items(), strict=True):
                spec = python_job(
                    _TASK,
                    str(gate),
                    replicas=tasks,
                    port_names=("http", "metrics"),
                    constraints=(Constraint(ATTRIBUTE_SCALE_GROUP, ConstraintOp.EQ, (group,)),),
                )
                await client.launch(job_id, spec)

            async def said() -> list[str]:
                every = [line for job_id in jobs for line in await lines(client, job_id)]
                return every if len(every) == sum(_TASKS.values()) else []

            told = [json.loads(line) for line in await assert_eventually(said, "all tasks serve")]
            workers = {one.worker_id for one in (await client.cluster_status()).workers}
            # The controller's process, which has no part in it, cannot get them either.
            ports = [port for one in told for port in one.values()]
            leases = PortAllocator(manager.state_folder.leases)
            mine = [leases.lease(f"mine-{number}").port for number in range(20)]
            leases.close()
            gate.touch()
            ended = [await client.wait(job_id, PATIENCE) for job_id in jobs]
    assert [job.state for job in ended] == [JobState.SUCCEEDED] * 2, "each had its ports"
    assert len(set(ports)) == 2 * sum(_TASKS.values())
    assert not set(ports) & set(mine)
    ran_on = {task.attempts[0].worker_id for job in ended for task in job.tasks}
    assert ran_on <= workers
    assert len(ran_on) >= 2, ran_on
    recorded = [dict(task.attempts[0].ports) for job in ended for task in job.tasks]
    assert sorted(port for one in recorded for port in one.values()) == sorted(ports)


def _leased(folder: Path) -> set[int]:
    """The ports that some process of this machine holds just now."""
    held = set()
    for path in folder.glob("*.lease"):
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.add(int(path.stem))
    return held


async def test_ports_come_back_however_a_task_ends(tmp_path: Path) -> None:
    with running_cluster(platform_config(tmp_path)) as manager:
        folder = manager.state_folder.leases
        async with client_of(manager) as client:
            for how in ("succeeds", "fails", "is killed", "loses its machine"):
                job_id = JobId(f"/ada/{how.replace(' ', '-')}")
                gate = tmp_path / how
                spec = python_job(
                    _END, str(gate), how, port_names=("a", "b"), max_retries_preemption=0
                )
                await client.launch(job_id, spec)
                await _until_said(client, job_id)
                (attempt,) = (await client.get(job_id)).tasks[0].attempts
                assert _leased(folder) == {port for _, port in attempt.ports}, how
                if how == "is killed":
                    await client.terminate(job_id, "enough")
                elif how == "loses its machine":
                    for worker in worker_processes(manager):
                        os.kill(worker.pid, signal.SIGKILL)
                else:
                    gate.touch()
                job = await client.wait(job_id, PATIENCE)
                assert (job.state is JobState.SUCCEEDED) == (how == "succeeds"), job
                await assert_eventually(lambda: not _leased(folder), f"ports of what {how}")


async def _until_said(client: Client, job_id: JobId) -> None:
    async def said() -> list[str]:
        return await lines(client, job_id)

    await assert_eventually(said, f"{job_id} runs")
