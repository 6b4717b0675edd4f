"""For the tests of this folder: a cluster on this machine as its users have it, whose workers are
processes of their own.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

from iris_proto import config_pb2

from iris.client import Client, JobView, LogStream
from iris.config import parse_config
from iris.host.processes import ProcessIdentity, command_line, descendants
from iris.lifecycle.cluster_manager import ClusterManager
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import MIB, Resources

PATIENCE = timedelta(minutes=1)
SMALL = Resources(cpu_millis=100, memory_bytes=64 * MIB)

_WORKER = "iris.platforms.local.worker_main"
_CONFIG = """
name: platform
controller_vm:
  local:
    state_dir: {folder}/state
    machine: {{cpu: 2, memory: 2GiB, disk: 2GiB}}
    workers: SUBPROCESS
scale_groups:
  cpu:
    provider: {{local: {{}}}}
    vm: {{cpu: 500m, memory: 256MiB, disk: 256MiB}}
    max_slices: 2
  tpu:
    provider: {{local: {{}}}}
    accelerator_type: tpu
    accelerator_variant: v5litepod-8
    vm: {{cpu: 250m, memory: 128MiB, disk: 128MiB}}
    max_slices: 1
autoscaler:
  idle_timeout: 1h
worker:
  stop_grace: 0.2s
"""


def platform_config(folder: Path) -> config_pb2.ClusterConfig:
    """Two scale groups, whose slices share two processors and 2 GiB; all its files are there."""
    return parse_config(_CONFIG.format(folder=folder), "platform.yaml")


@contextmanager
def running_cluster(config: config_pb2.ClusterConfig) -> Iterator[ClusterManager]:
    """From start to stop, which raises if anything is left of it."""
    manager = ClusterManager(config)
    try:
        manager.start()
        yield manager
    finally:
        manager.stop()


@asynccontextmanager
async def client_of(manager: ClusterManager) -> AsyncIterator[Client]:
    """As a program gets it."""
    with manager.connect() as connection:
        async with Client.connect(connection.address, connection.token) as client:
            yield client


def python_job(program: str, *arguments: str, **more: object) -> JobSpec:
    """A job whose tasks are this Python with a program text, and no module but the standard ones."""
    entrypoint = Entrypoint((sys.executable, "-I", "-S", "-c", program, *arguments))
    return JobSpec(entrypoint, **{"resources": SMALL, **more})  # type: ignore[arg-type]


async def run_to_end(client: Client, name: str, spec: JobSpec) -> JobView:
    """Submits it as /ada/NAME; the job once it has ended, however it did."""
    job_id = JobId(f"/ada/{name}")
    await client.launch(job_id, spec)
    return await client.wait(job_id, PATIENCE)


async def lines(
    client: Client, job_or_task: str, stream: LogStream = LogStream.STDOUT
) -> list[str]:
    """What was written."""
    return [line.text async for line in client.tail_logs(job_or_task) if line.stream is stream]


def worker_processes(manager: ClusterManager) -> list[ProcessIdentity]:
    """Of the workers that run just now."""
    record = manager.state_folder.running()
    assert record is not None
    below = descendants(record.process)
    return [process for process in below if _WORKER in command_line(process)]
