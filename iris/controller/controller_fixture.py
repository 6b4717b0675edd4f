"""For tests: a controller on loopback with a clock that is turned by hand, and the stubs to call
it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
from iris_proto import cluster_pb2, controller_pb2, controller_pb2_grpc, job_pb2

from iris.controller.controller import Controller
from iris.controller.options import ControllerOptions, UnschedulablePolicy
from iris.controller.scripted_worker import ScriptedWorker
from iris.model.resources import GIB
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors
from iris.testing.clock import FakeClock
from iris.testing.fake_planner import FakePlanner
from iris.testing.ids import CountedIds

TOKEN = "the-cluster's-token"
LOST_AFTER = 30.0


def options_in(folder: Path, **changes: Any) -> ControllerOptions:
    """What a controller in this folder is told."""
    state_dir = folder / "state"
    state_dir.mkdir(mode=0o700, exist_ok=True)
    options = ControllerOptions(
        cluster="test",
        version="0.0-test",
        host="127.0.0.1",
        port=0,
        state_dir=state_dir,
        bundle_dir=folder / "bundles",
        token=TOKEN,
        unschedulable=UnschedulablePolicy.REFUSE,
        max_bundle_bytes=1 << 20,
        max_replicas=1000,
        lost_after=timedelta(seconds=LOST_AFTER),
        heartbeat_interval=timedelta(seconds=5),
        stop_grace=timedelta(seconds=10),
        log_flush_timeout=timedelta(seconds=20),
    )
    return replace(options, **changes)


class Cluster:
    """A running controller and what a test needs of it."""

    def __init__(
        self,
        controller: Controller,
        address: str,
        channel: grpc.aio.Channel,
        planner: FakePlanner,
        clock: FakeClock,
        stack: AsyncExitStack,
    ) -> None:
        self.controller = controller
        self.address = address
        self.channel = channel
        self.planner = planner
        self.clock = clock
        self.jobs = controller_pb2_grpc.ControllerServiceStub(channel)
        self.bundles = controller_pb2_grpc.BundleServiceStub(channel)
        self._stack = stack

    def worker(self, worker_id: str, **details: Any) -> ScriptedWorker:
        """A worker that is closed with the cluster."""
        worker = ScriptedWorker(self.address, TOKEN, worker_id, **details)
        self._stack.push_async_callback(worker.close)
        return worker

    async def attached(self, worker_id: str, **details: Any) -> ScriptedWorker:
        """A worker that has registered."""
        worker = self.worker(worker_id, **details)
        await worker.connect()
        return worker

    async def launch(self, job_id: str, **details: Any) -> controller_pb2.LaunchJobResponse:
        """Submits a job; raises IrisError."""
        request = controller_pb2.LaunchJobRequest(job_id=job_id, spec=spec(**details))
        with rpc_errors("LaunchJob"):
            return await self.jobs.LaunchJob(request)

    async def get(self, job_id: str) -> job_pb2.JobStatus:
        """The job now; raises IrisError."""
        with rpc_errors("GetJob"):
            return await self.jobs.GetJob(controller_pb2.GetJobRequest(job_id=job_id))

    async def terminate(self, job_id: str, reason: str = "") -> job_pb2.JobStatus:
        """Ends a job; raises IrisError."""
        request = controller_pb2.TerminateJobRequest(job_id=job_id, reason=reason)
        with rpc_errors("TerminateJob"):
            return await self.jobs.TerminateJob(request)

    async def status(self) -> cluster_pb2.ClusterStatus:
        """The cluster now."""
        with rpc_errors("GetClusterStatus"):
            return await self.jobs.GetClusterStatus(controller_pb2.GetClusterStatusRequest())

    def tail(self, id_: str, **details: Any) -> Any:
        """The stream of log lines."""
        return self.jobs.TailLogs(controller_pb2.TailLogsRequest(id=id_, **details))

    def watch(self, job_id: str) -> Any:
        """The stream of the job's status."""
        return self.jobs.WatchJob(controller_pb2.WatchJobRequest(job_id=job_id))

    async def until(self, job_id: str, condition: Any) -> job_pb2.JobStatus:
        """The first status for which the condition holds."""
        async with asyncio.timeout(30):
            with rpc_errors("WatchJob"):
                async for status in self.watch(job_id):
                    if condition(status):
                        return status
        raise AssertionError(f"{job_id} ended without that")

    async def ended(self, job_id: str) -> job_pb2.JobStatus:
        """The last status of a job."""
        async with asyncio.timeout(30):
            return [status async for status in self.watch(job_id)][-1]

    async def logs(self, id_: str, **details: Any) -> list[tuple[str, int, int, str]]:
        """All lines as (task, attempt, index, text)."""
        lines = []
        async with asyncio.timeout(30):
            with rpc_errors("TailLogs"):
                async for part in self.tail(id_, **details):
                    lines += [
                        (part.task_id, part.attempt, index, text) for index, text in numbered(part)
                    ]
        return lines


def texts(part: controller_pb2.TailLogsResponse) -> list[str]:
    """The lines of one message."""
    return [text for _, text in numbered(part)]


def numbered(part: controller_pb2.TailLogsResponse) -> list[tuple[int, str]]:
    """The lines of one message, with their indices."""
    found: list[tuple[int, str]] = []
    index = part.first_index
    for run in part.runs:
        lines = run.text.decode().split("\n")
        index += run.skipped
        found += enumerate(lines, start=index)
        index += len(lines)
    return found


@asynccontextmanager
async def running(
    folder: Path,
    *,
    planner: FakePlanner | None = None,
    clock: FakeClock | None = None,
    ids: CountedIds | None = None,
    **changes: Any,
) -> AsyncIterator[Cluster]:
    """A controller in this folder until the block ends; it must not have failed by then.

    One that is to go on where another stopped is given the other's clock and ids.
    """
    planner, clock, ids = planner or FakePlanner(), clock or FakeClock(), ids or CountedIds()
    controller = Controller(options_in(folder, **changes), planner=planner, clock=clock, ids=ids)
    address = await controller.start()
    failed = asyncio.create_task(controller.wait_failed())
    try:
        async with AsyncExitStack() as stack:
            channel = open_channel(address, TOKEN)
            stack.push_async_callback(channel.close, None)
            yield Cluster(controller, address, channel, planner, clock, stack)
    finally:
        await controller.stop()
        assert not failed.done(), failed.result()
        failed.cancel()
        await asyncio.gather(failed, return_exceptions=True)


def spec(
    *,
    replicas: int = 1,
    gang: bool = False,
    cpu_millis: int = 1000,
    max_retries_failure: int = 0,
    entrypoint: job_pb2.Entrypoint | None = None,
    **details: Any,
) -> job_pb2.JobSpec:
    """A small job on the wire."""
    return job_pb2.JobSpec(
        entrypoint=entrypoint or job_pb2.Entrypoint(argv=["true"]),
        resources=job_pb2.Resources(cpu_millis=cpu_millis, memory_bytes=GIB),
        replicas=replicas,
        gang=job_pb2.Gang(group_by="slice-id") if gang else None,
        max_retries_failure=max_retries_failure,
        max_retries_preemption=100,
        **details,
    )
