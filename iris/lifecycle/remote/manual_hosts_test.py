"""A cluster none of which is on the user's machine: its controller on one host, its worker on another, which the
controller reaches by SSH in its turn.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from iris_proto import controller_pb2, controller_pb2_grpc, job_pb2

from iris.config import parse_config
from iris.lifecycle.protocol import Connection
from iris.lifecycle.remote.manual import ManualController
from iris.rpc.channels import open_channel
from iris.testing.eventually import assert_eventually
from iris.testing.ssh_hosts import SshHosts

_CONFIG = """
name: lab
controller_vm: {{manual: {{host: host0}}}}
ssh: {{config_file: {ssh_config}}}
bootstrap: {{python: {python}}}
scale_groups:
  far:
    provider: {{manual: {{hosts: [host1]}}}}
    vm: {{cpu: 500m, memory: 64MiB, disk: 64MiB}}
worker: {{stop_grace: 0.2s}}
"""
_JOB = "/ada/where"


async def run_job(connection: Connection) -> str:
    """Ends well; the worker that had it."""
    spec = job_pb2.JobSpec(
        entrypoint=job_pb2.Entrypoint(argv=["true"]),
        resources=job_pb2.Resources(cpu_millis=100, memory_bytes=1 << 24),
        replicas=1,
    )
    channel = open_channel(connection.address, connection.token)
    try:
        stub = controller_pb2_grpc.ControllerServiceStub(channel)
        await stub.LaunchJob(controller_pb2.LaunchJobRequest(job_id=_JOB, spec=spec))

        async def job() -> job_pb2.JobStatus:
            return await stub.GetJob(controller_pb2.GetJobRequest(job_id=_JOB))

        async def succeeded() -> bool:
            return (await job()).state == job_pb2.JOB_SUCCEEDED

        asked: Callable[[], bool | Awaitable[bool]] = succeeded
        await assert_eventually(asked, "the job succeeds", timeout=90)
        return str((await job()).tasks[0].attempts[0].worker_id)
    finally:
        await channel.close()


def test_nothing_of_it_is_here(tmp_path: Path) -> None:
    with SshHosts(tmp_path / "ssh", 2) as hosts:
        text = _CONFIG.format(ssh_config=hosts.config_file, python=os.path.realpath(sys.executable))
        config = parse_config(text, "lab.yaml")
        controller = ManualController(config, ship_dir=tmp_path / "ship")
        try:
            controller.start()
            with controller.connect() as connection:
                assert asyncio.run(run_job(connection)).startswith("far-")
        finally:
            controller.stop()
        ships = [sorted(host.home.glob(".cache/iris/lab/*/iris-*.pyz")) for host in hosts.hosts]
        assert [path.parent.name for (path,) in ships] == ["controller", "ship"]
        assert len({path.name for (path,) in ships}) == 1
        for host in hosts.hosts:
            assert not list(host.home.glob(".local/state/iris-host/claim.json"))
