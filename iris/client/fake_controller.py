"""A controller for tests: real gRPC on a real port, jobs and logs that the test writes, streams
that break when told to.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, TypeVar

import grpc
import grpc.aio
from iris_proto import cluster_pb2, controller_pb2, controller_pb2_grpc, job_pb2

from iris.model.errors import AlreadyExists, FailedPrecondition, NotFound
from iris.rpc.server import bind, create_server

M = TypeVar("M")
Context = grpc.aio.ServicerContext[Any, Any]

TOKEN = "the-token-of-the-test"
# Lines in one message, so that few lines already make several messages.
_LINES_PER_MESSAGE = 2
_BYTES_PER_MESSAGE = 100
_TERMINAL = {
    job_pb2.JOB_SUCCEEDED,
    job_pb2.JOB_FAILED,
    job_pb2.JOB_KILLED,
    job_pb2.JOB_UNSCHEDULABLE,
}


class Cut(Enum):
    """How a call is made to fail."""

    UNAVAILABLE = "as when the controller dies"
    CANCELLED = "as when the controller stops"
    END = "in good order, but too early"
    SILENCE = "nothing more is ever said"


@dataclass
class FakeController(
    controller_pb2_grpc.ControllerServiceServicer, controller_pb2_grpc.BundleServiceServicer
):
    """What the test sets up and looks at.

    Attributes:
        logs: (task id, attempt) -> all lines so far.
        outputs: (task id, or the attempt that published it; name) -> what was published.
        requests: Method -> what was asked, in order.
        cuts: Method -> (messages that are still sent, how it then fails), one for each of the next
            calls.
        seconds: Method -> how much time each unary call was given.
    """

    jobs: dict[str, job_pb2.JobStatus] = field(default_factory=dict)
    logs: dict[tuple[str, int], list[job_pb2.LogRun]] = field(
        default_factory=lambda: defaultdict(list)
    )
    explanations: dict[str, job_pb2.JobExplanation] = field(default_factory=dict)
    bundles: dict[str, bytes] = field(default_factory=dict)
    endpoints: list[job_pb2.Endpoint] = field(default_factory=list)
    outputs: dict[tuple[str, str], job_pb2.TaskOutput] = field(default_factory=dict)
    vm_logs: dict[str, list[str]] = field(default_factory=dict)
    status: cluster_pb2.ClusterStatus = field(default_factory=cluster_pb2.ClusterStatus)
    requests: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    cuts: dict[str, list[tuple[int, Cut]]] = field(default_factory=lambda: defaultdict(list))
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    address: str = ""

    def __post_init__(self) -> None:
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["FakeController"]:
        """Answers on a free port until the block ends."""
        server = create_server(TOKEN)
        controller_pb2_grpc.add_ControllerServiceServicer_to_server(self, server)
        controller_pb2_grpc.add_BundleServiceServicer_to_server(self, server)
        self.address = f"127.0.0.1:{bind(server, '127.0.0.1', 0)}"
        await server.start()
        try:
            yield self
        finally:
            await server.stop(grace=None)

    async def put_job(self, job: job_pb2.JobStatus) -> None:
        """Sets a job as a whole; its version grows."""
        old = self.jobs.get(job.job_id)
        job.version = (old.version if old else 0) + 1
        self.jobs[job.job_id] = job
        await self._tell()

    async def set_state(self, job_id: str, state: job_pb2.JobState) -> None:
        """Changes only the job's state."""
        job = job_pb2.JobStatus()
        job.CopyFrom(self.jobs[job_id])
        job.state = state
        await self.put_job(job)

    async def write(
        self,
        task_id: str,
        *lines: str,
        attempt: int = 0,
        stream: job_pb2.LogStream = job_pb2.STDOUT,
    ) -> None:
        """A task writes lines."""
        log = self.logs[task_id, attempt]
        log.extend(
            job_pb2.LogRun(
                time_ns=(len(log) + n) * 1_000_000_000, stream=stream, text=line.encode()
            )
            for n, line in enumerate(lines)
        )
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _is_newer(self, job_id: str, version: int) -> bool:
        return self.jobs[job_id].version > version

    def _find(self, job_id: str) -> job_pb2.JobStatus:
        if job_id not in self.jobs:
            raise NotFound(
                f"There is no job {job_id}.", hint="iris job list shows those there are."
            )
        return self.jobs[job_id]

    async def _cut_now(self, how: Cut, context: Context) -> None:
        if how is Cut.SILENCE:
            await asyncio.Event().wait()
        if how is not Cut.END:
            code = (
                grpc.StatusCode.UNAVAILABLE if how is Cut.UNAVAILABLE else grpc.StatusCode.CANCELLED
            )
            await context.abort(code, "cut by the test")

    async def _begin(self, method: str, request: object, context: Context) -> None:
        """Records a unary call, and makes it fail if it is to."""
        self.requests[method].append(request)
        self.seconds[method].append(context.time_remaining())
        if self.cuts[method]:
            await self._cut_now(self.cuts[method].pop(0)[1], context)

    async def LaunchJob(
        self, request: controller_pb2.LaunchJobRequest, context: Context
    ) -> controller_pb2.LaunchJobResponse:
        await self._begin("LaunchJob", request, context)
        old = self.jobs.get(request.job_id)
        if request.policy == job_pb2.EXISTING_JOB_REPLACE:
            old = None
        if old is not None and old.spec != request.spec:
            raise AlreadyExists(f"{request.job_id} is another job.", hint="Choose another name.")
        if old is None:
            await self.put_job(
                job_pb2.JobStatus(
                    job_id=request.job_id, spec=request.spec, state=job_pb2.JOB_PENDING
                )
            )
        return controller_pb2.LaunchJobResponse(job=self.jobs[request.job_id], created=old is None)

    async def GetJob(
        self, request: controller_pb2.GetJobRequest, context: Context
    ) -> job_pb2.JobStatus:
        await self._begin("GetJob", request, context)
        return self._find(request.job_id)

    async def ExplainJob(
        self, request: controller_pb2.ExplainJobRequest, context: Context
    ) -> job_pb2.JobExplanation:
        await self._begin("ExplainJob", request, context)
        job = self._find(request.job_id)
        return self.explanations.get(job.job_id) or job_pb2.JobExplanation(
            job_id=job.job_id,
            state=job.state,
            band=job.spec.priority or job_pb2.INTERACTIVE,
            counts=job.counts,
            error=job.error,
        )

    async def DrainWorker(
        self, request: controller_pb2.DrainWorkerRequest, context: Context
    ) -> cluster_pb2.WorkerStatus:
        await self._begin("DrainWorker", request, context)
        for worker in self.status.workers:
            if worker.worker_id == request.worker_id:
                worker.draining = request.drain
                return worker
        raise NotFound(f"There is no worker {request.worker_id}.")

    async def FetchVmLog(
        self, request: controller_pb2.FetchVmLogRequest, context: Context
    ) -> controller_pb2.FetchVmLogResponse:
        await self._begin("FetchVmLog", request, context)
        lines = self.vm_logs.get(request.vm_id)
        if lines is None:
            raise NotFound(f"There is no VM {request.vm_id!r}.")
        return controller_pb2.FetchVmLogResponse(
            text="".join(f"{line}\n" for line in lines[-request.tail :])
        )

    async def InjectFault(
        self, request: controller_pb2.InjectFaultRequest, context: Context
    ) -> controller_pb2.InjectFaultResponse:
        await self._begin("InjectFault", request, context)
        if not self.status.fault_injection:
            raise FailedPrecondition("This cluster does not let anybody break things on purpose.")
        return controller_pb2.InjectFaultResponse(done=f"{request.target} was killed")

    async def BackUp(
        self, request: controller_pb2.BackUpRequest, context: Context
    ) -> controller_pb2.BackUpResponse:
        await self._begin("BackUp", request, context)
        return controller_pb2.BackUpResponse(path="/state/backups/one.db", bytes=4096)

    async def ListJobs(
        self, request: controller_pb2.ListJobsRequest, context: Context
    ) -> controller_pb2.ListJobsResponse:
        await self._begin("ListJobs", request, context)
        chosen = [
            job
            for job in reversed(self.jobs.values())
            if job.job_id.startswith(request.prefix)
            and not (request.active_only and job.state in _TERMINAL)
        ]
        page = chosen[request.before : request.before + min(request.limit, 2)]
        end = request.before + len(page)
        return controller_pb2.ListJobsResponse(jobs=page, next=end if end < len(chosen) else 0)

    async def TerminateJob(
        self, request: controller_pb2.TerminateJobRequest, context: Context
    ) -> job_pb2.JobStatus:
        await self._begin("TerminateJob", request, context)
        if self._find(request.job_id).state not in _TERMINAL:
            await self.set_state(request.job_id, job_pb2.JOB_KILLED)
        return self._find(request.job_id)

    async def GetClusterStatus(
        self, request: controller_pb2.GetClusterStatusRequest, context: Context
    ) -> cluster_pb2.ClusterStatus:
        await self._begin("GetClusterStatus", request, context)
        return self.status

    async def Health(
        self, request: controller_pb2.HealthRequest, context: Context
    ) -> controller_pb2.HealthResponse:
        await self._begin("Health", request, context)
        return controller_pb2.HealthResponse(
            cluster="fake", version="1.2.3", incarnation_id="one", healthy=True
        )

    async def WatchJob(
        self, request: controller_pb2.WatchJobRequest, context: Context
    ) -> AsyncIterator[job_pb2.JobStatus]:
        async for message in self._with_cuts("WatchJob", request, context, self._watch(request)):
            yield message

    async def _watch(
        self, request: controller_pb2.WatchJobRequest
    ) -> AsyncIterator[job_pb2.JobStatus]:
        seen = 0
        while True:
            job = self._find(request.job_id)
            if job.version > seen:
                seen = job.version
                yield job
            if job.state in _TERMINAL:
                return
            async with self._changed:
                await self._changed.wait_for(partial(self._is_newer, request.job_id, seen))

    async def TailLogs(
        self, request: controller_pb2.TailLogsRequest, context: Context
    ) -> AsyncIterator[controller_pb2.TailLogsResponse]:
        async for message in self._with_cuts("TailLogs", request, context, self._tail(request)):
            yield message

    async def _tail(
        self, request: controller_pb2.TailLogsRequest
    ) -> AsyncIterator[controller_pb2.TailLogsResponse]:
        head, _, last = request.id.rpartition("/")
        job_id = head if last.isdigit() else request.id
        sent: dict[tuple[str, int], int] = {}
        while True:
            ended = self._find(job_id).state in _TERMINAL
            for key, lines in list(self.logs.items()):
                if key[0] != request.id and not key[0].startswith(request.id + "/"):
                    continue
                first = sent.get(key, max(0, len(lines) - request.tail) if request.tail else 0)
                while part := lines[first : first + _LINES_PER_MESSAGE]:
                    yield controller_pb2.TailLogsResponse(
                        task_id=key[0], attempt=key[1], first_index=first, runs=part
                    )
                    first += len(part)
                sent[key] = first
            if ended or not request.follow:
                return
            async with self._changed:
                await self._changed.wait_for(
                    lambda: (
                        self._find(job_id).state in _TERMINAL
                        or any(
                            len(lines) > sent.get(key, 0)
                            for key, lines in self.logs.items()
                            if key[0].startswith(job_id)
                        )
                    )
                )

    async def _with_cuts(
        self, method: str, request: object, context: Context, messages: AsyncIterator[M]
    ) -> AsyncIterator[M]:
        self.requests[method].append(request)
        left, how = self.cuts[method].pop(0) if self.cuts[method] else (None, Cut.END)
        async for message in messages:
            if left == 0:
                break
            yield message
            left = left and left - 1
        if left == 0:
            await self._cut_now(how, context)

    async def HasBundle(
        self, request: controller_pb2.HasBundleRequest, context: Context
    ) -> controller_pb2.HasBundleResponse:
        await self._begin("HasBundle", request, context)
        return controller_pb2.HasBundleResponse(present=request.digest in self.bundles)

    async def UploadBundle(
        self,
        request_iterator: AsyncIterator[controller_pb2.UploadBundleRequest],
        context: Context,
    ) -> controller_pb2.UploadBundleResponse:
        await self._begin("UploadBundle", None, context)
        parts = [part async for part in request_iterator]
        archive = b"".join(part.chunk for part in parts)
        self.bundles[parts[0].digest] = archive
        return controller_pb2.UploadBundleResponse(archive_bytes=len(archive))

    async def DownloadBundle(
        self, request: controller_pb2.DownloadBundleRequest, context: Context
    ) -> AsyncIterator[controller_pb2.DownloadBundleResponse]:
        parts = self._download(request)
        async for message in self._with_cuts("DownloadBundle", request, context, parts):
            yield message

    async def _download(
        self, request: controller_pb2.DownloadBundleRequest
    ) -> AsyncIterator[controller_pb2.DownloadBundleResponse]:
        archive = self.bundles[request.digest]
        for start in range(request.offset, len(archive), _BYTES_PER_MESSAGE):
            yield controller_pb2.DownloadBundleResponse(
                chunk=archive[start : start + _BYTES_PER_MESSAGE]
            )

    async def PublishOutput(
        self, request: controller_pb2.PublishOutputRequest, context: Context
    ) -> job_pb2.TaskOutput:
        await self._begin("PublishOutput", request, context)
        size = len(self.bundles[request.digest])
        output = job_pb2.TaskOutput(name=request.name, digest=request.digest, bytes=size)
        self.outputs[request.attempt_uid, request.name] = output
        return output

    async def GetOutput(
        self, request: controller_pb2.GetOutputRequest, context: Context
    ) -> job_pb2.TaskOutput:
        await self._begin("GetOutput", request, context)
        if (request.task_id, request.name) not in self.outputs:
            raise NotFound(f"{request.task_id} has published no output {request.name!r}.")
        return self.outputs[request.task_id, request.name]

    async def RegisterEndpoint(
        self, request: controller_pb2.RegisterEndpointRequest, context: Context
    ) -> job_pb2.Endpoint:
        await self._begin("RegisterEndpoint", request, context)
        endpoint = job_pb2.Endpoint(
            name=f"/ann/train/{request.name}",
            address=request.address,
            metadata=request.metadata,
            task_id="/ann/train/0",
            attempt_uid=request.attempt_uid,
        )
        self.endpoints.append(endpoint)
        return endpoint

    async def ListEndpoints(
        self, request: controller_pb2.ListEndpointsRequest, context: Context
    ) -> controller_pb2.ListEndpointsResponse:
        await self._begin("ListEndpoints", request, context)
        return controller_pb2.ListEndpointsResponse(
            endpoints=[one for one in self.endpoints if one.name.startswith(request.prefix)]
        )
