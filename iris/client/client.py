"""The SDK a program uses: an async client of one cluster."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import grpc.aio
from iris_proto import controller_pb2, controller_pb2_grpc

from iris.bundle import BundleInfo
from iris.client.bundles import measure, opened, packed, upload_requests
from iris.client.calls import call_errors
from iris.client.log_positions import LogPositions
from iris.client.retry import Jitter, Patience, call_with_retries
from iris.client.streams import read_through_breaks
from iris.client.views import (
    BackUpView,
    ClusterView,
    ExplanationView,
    HealthView,
    JobView,
    Launched,
    LogLine,
    UploadedBundle,
)
from iris.client.views_from_proto import (
    back_up_view,
    cluster_view,
    explanation_view,
    health_view,
    job_view,
    log_lines,
)
from iris.host.clock import Clock, SystemClock
from iris.host.ids import IdSource, RandomIds
from iris.model.errors import DeadlineExceeded
from iris.model.ids import JobId, parse_job_id, parse_job_or_task_id
from iris.model.job import ExistingJobPolicy, JobSpec
from iris.rpc.channels import open_channel
from iris.rpc.convert_job import EXISTING_JOB_POLICIES, job_spec_to_proto
from iris.rpc.convert_values import timestamp_to_proto

T = TypeVar("T")

_PAGE = 500


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How long a client waits for what.

    Attributes:
        call_timeout: For one attempt of a call.
        retry_for: For all attempts of a call together, while the controller cannot be reached.
        reconnect_for: How long a broken stream is begun anew before it is given up.
        stream_timeout: After this long a stream is begun anew in any case; nobody notices.
        transfer_timeout: For sending a bundle, and for a back-up.
        replace_timeout: For launching a job that takes the place of one, which has to end first.
    """

    call_timeout: timedelta = timedelta(seconds=10)
    retry_for: timedelta = timedelta(seconds=30)
    reconnect_for: timedelta = timedelta(seconds=60)
    stream_timeout: timedelta = timedelta(minutes=10)
    transfer_timeout: timedelta = timedelta(minutes=15)
    replace_timeout: timedelta = timedelta(minutes=5)


_DEFAULT_OPTIONS = ClientOptions()
_SYSTEM_CLOCK = SystemClock()
_RANDOM_IDS = RandomIds()


class Client:
    """One cluster, over one connection. Use on the event loop it was connected on; any number of
    calls at once.

    Every call may be made again without harm, and is while the controller cannot be reached (see
    ClientOptions). Every call raises IrisError: Unauthenticated for a wrong token, NotFound,
    Unavailable and so on, each with a hint.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        address: str,
        options: ClientOptions,
        clock: Clock,
        jitter: Jitter,
        ids: IdSource,
    ) -> None:
        """See `connect`."""
        self.address = address
        self._jobs: Any = controller_pb2_grpc.ControllerServiceStub(channel)
        self._bundles: Any = controller_pb2_grpc.BundleServiceStub(channel)
        self._options = options
        self._clock = clock
        self._jitter = jitter
        self._ids = ids

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        address: str,
        token: str,
        *,
        options: ClientOptions = _DEFAULT_OPTIONS,
        clock: Clock = _SYSTEM_CLOCK,
        jitter: Jitter = random.uniform,
        ids: IdSource = _RANDOM_IDS,
    ) -> AsyncIterator["Client"]:
        """A client of the controller at `host:port`. The connection is made by the first call and
        closed at the end.
        """
        channel = open_channel(address, token)
        try:
            yield cls(channel, address, options, clock, jitter, ids)
        finally:
            await channel.close(None)

    async def launch(
        self,
        job_id: JobId,
        spec: JobSpec,
        *,
        policy: ExistingJobPolicy = ExistingJobPolicy.ERROR,
        inherit_priority: bool = False,
    ) -> Launched:
        """Submits a job; once this returns, the job survives the controller's crash.

        However often the controller has to be asked for it, this makes one job at most. Raises
        AlreadyExists when the name is taken by a different job and `policy` does not say what to do
        about that.

        Args:
            inherit_priority: The job's band is its parent's, if it is a child, and the default
                otherwise; the spec's does not count.
        """
        request = controller_pb2.LaunchJobRequest(
            job_id=parse_job_id(job_id),
            spec=job_spec_to_proto(spec),
            request_id=self._ids.fresh("launch"),
            policy=EXISTING_JOB_POLICIES.to_proto(policy),
        )
        if inherit_priority:
            request.spec.ClearField("priority")
        # The old job's end may take its time.
        patient = policy is ExistingJobPolicy.REPLACE
        within = self._options.replace_timeout if patient else None
        answer = await self._call(
            "LaunchJob", self._jobs.LaunchJob, request, within=within, each_within=within
        )
        return Launched(job_view(answer.job), answer.created)

    async def get(self, job_id: JobId, *, max_tasks: int = 0) -> JobView:
        """A job now. `max_tasks` are described one by one (0: the server's default)."""
        request = controller_pb2.GetJobRequest(job_id=parse_job_id(job_id), max_tasks=max_tasks)
        return job_view(await self._call("GetJob", self._jobs.GetJob, request))

    async def explain(self, job_id: JobId) -> ExplanationView:
        """Where a job stands and why."""
        request = controller_pb2.ExplainJobRequest(job_id=parse_job_id(job_id))
        return explanation_view(await self._call("ExplainJob", self._jobs.ExplainJob, request))

    async def list_jobs(
        self, prefix: str = "", *, active_only: bool = False, limit: int = 100
    ) -> tuple[JobView, ...]:
        """Jobs whose id begins with `prefix` (`/alice/`), newest first, at most `limit`; without
        their tasks.
        """
        jobs: list[JobView] = []
        before = 0
        while len(jobs) < limit:
            request = controller_pb2.ListJobsRequest(
                prefix=prefix,
                active_only=active_only,
                limit=min(_PAGE, limit - len(jobs)),
                before=before,
            )
            page = await self._call("ListJobs", self._jobs.ListJobs, request)
            jobs.extend(job_view(job) for job in page.jobs)
            before = page.next
            if not before:
                break
        return tuple(jobs[:limit])

    async def watch(self, job_id: JobId, *, max_tasks: int = 0) -> AsyncGenerator[JobView, None]:
        """The job now and after every change; the last one is in a terminal state.

        Survives the controller's restart: states may be left out then, never the last one. Close it
        (`contextlib.aclosing`) when leaving early.
        """
        request = controller_pb2.WatchJobRequest(job_id=parse_job_id(job_id), max_tasks=max_tasks)
        messages = read_through_breaks(
            self._doing("WatchJob"),
            lambda seconds: self._jobs.WatchJob(request, timeout=seconds),
            is_complete=_never,
            patience=self._patience(),
            clock=self._clock,
            stream_seconds=self._options.stream_timeout.total_seconds(),
            first_within=self._options.call_timeout.total_seconds(),
        )
        seen = -1
        async with aclosing(messages):
            async for message in messages:
                job = job_view(message)
                if job.version > seen or job.state.is_terminal:
                    seen = job.version
                    yield job
                if job.state.is_terminal:
                    return

    async def wait(self, job_id: JobId, timeout: timedelta | None = None) -> JobView:
        """The job once it has ended. Raises DeadlineExceeded, with the state it was in, when that
        takes too long.
        """
        last: JobView | None = None
        try:
            async with (
                asyncio.timeout(None if timeout is None else timeout.total_seconds()),
                aclosing(self.watch(job_id)) as jobs,
            ):
                async for job in jobs:
                    last = job
        except TimeoutError:
            state = last.state.value if last else "not known"
            raise DeadlineExceeded(
                f"{job_id} had not ended after {timeout}; its state was: {state}.",
                hint="Wait longer, or ask why: iris job explain.",
            ) from None
        assert last is not None, "a watch always ends with a terminal state"
        return last

    async def terminate(self, job_id: JobId, reason: str) -> JobView:
        """Asks for a job's end; `wait` tells when it has come. A job that has ended stays as it is."""
        request = controller_pb2.TerminateJobRequest(job_id=parse_job_id(job_id), reason=reason)
        return job_view(await self._call("TerminateJob", self._jobs.TerminateJob, request))

    async def tail_logs(
        self,
        job_or_task: str,
        *,
        follow: bool = False,
        tail: int = 0,
        since: datetime | None = None,
    ) -> AsyncGenerator[LogLine, None]:
        """Log lines of a job's or a task's attempts, each attempt's in order; none twice, and none
        left out.

        Close it (`contextlib.aclosing`) when leaving early.

        Args:
            follow: Until the job has ended and all of it was said; survives the controller's
                restart.
            tail: Begin with the last N lines of each attempt; 0 begins with the first.
            since: Only lines at or after this time.
        """
        parse_job_or_task_id(job_or_task)
        positions = LogPositions()

        def open_stream(seconds: float) -> Any:
            # After a break "the last N" would be others, and leave a gap; what was had before is
            # known by its position.
            lines = 0 if len(positions) else tail
            request = controller_pb2.TailLogsRequest(
                id=job_or_task, follow=follow, tail=lines, since=timestamp_to_proto(since)
            )
            return self._jobs.TailLogs(request, timeout=seconds)

        messages = read_through_breaks(
            self._doing("TailLogs"),
            open_stream,
            is_complete=_always,
            patience=self._patience(),
            clock=self._clock,
            stream_seconds=self._options.stream_timeout.total_seconds(),
        )
        async with aclosing(messages):
            async for message in messages:
                for line in positions.take_new(log_lines(message)):
                    yield line

    async def cluster_status(self) -> ClusterView:
        """Groups, slices, workers and the autoscaler's latest decisions."""
        request = controller_pb2.GetClusterStatusRequest()
        answer = await self._call("GetClusterStatus", self._jobs.GetClusterStatus, request)
        return cluster_view(answer)

    async def back_up(self) -> BackUpView:
        """Has the controller write a consistent copy of its database into its state folder, while
        it runs. A call that is made again after a break leaves two.
        """
        within = self._options.transfer_timeout
        request = controller_pb2.BackUpRequest()
        answer = await self._call(
            "BackUp", self._jobs.BackUp, request, within=within, each_within=within
        )
        return back_up_view(answer)

    async def health(self, timeout: timedelta = timedelta(seconds=5)) -> HealthView:
        """Whether the controller is well. Needs no token; asked once, so that the answer is about
        now.
        """
        with call_errors(self._doing("Health")):
            answer = await self._jobs.Health(
                controller_pb2.HealthRequest(), timeout=timeout.total_seconds()
            )
        return health_view(answer)

    async def upload_bundle(
        self, folder: Path, *, measured: Callable[[BundleInfo], None] | None = None
    ) -> UploadedBundle:
        """Makes sure that the cluster has the folder as it is now; nothing is sent if it has the
        same content already.

        Raises InvalidArgument for what cannot be packed, naming the file.

        Args:
            measured: Told what the bundle is before it is packed and sent.
        """
        info = await measure(folder)
        if measured is not None:
            measured(info)
        if await self._has_bundle(info.digest):
            return _uploaded(info, sent=False)
        async with packed(folder) as (archive, info):
            return await self._send_bundle(archive, info)

    async def upload_archive(self, path: Path) -> UploadedBundle:
        """Makes sure that the cluster has a bundle that was packed before. Raises InvalidArgument
        if it is none.
        """
        async with opened(path) as (archive, info):
            if await self._has_bundle(info.digest):
                return _uploaded(info, sent=False)
            return await self._send_bundle(archive, info)

    async def _has_bundle(self, digest: str) -> bool:
        request = controller_pb2.HasBundleRequest(digest=digest)
        answer = await self._call("HasBundle", self._bundles.HasBundle, request)
        return bool(answer.present)

    async def _send_bundle(self, archive: BinaryIO, info: BundleInfo) -> UploadedBundle:
        within = self._options.transfer_timeout

        def upload(_: object, timeout: float) -> Awaitable[Any]:
            return self._bundles.UploadBundle(
                upload_requests(archive, info.digest), timeout=timeout
            )

        await self._call("UploadBundle", upload, None, within=within, each_within=within)
        return _uploaded(info, sent=True)

    async def _call(
        self,
        name: str,
        method: Callable[..., Awaitable[T]],
        request: object,
        *,
        within: timedelta | None = None,
        each_within: timedelta | None = None,
    ) -> T:
        """Makes an idempotent call as often as it takes. `name` is for errors."""
        doing = self._doing(name)

        async def once(left: float) -> T:
            with call_errors(doing):
                return await method(request, timeout=left)

        return await call_with_retries(
            once,
            within=(within or self._options.retry_for).total_seconds(),
            each_within=(each_within or self._options.call_timeout).total_seconds(),
            clock=self._clock,
            jitter=self._jitter,
        )

    def _doing(self, call: str) -> str:
        return f"{call} at {self.address}"

    def _patience(self) -> Patience:
        return Patience(
            self._options.reconnect_for.total_seconds(), clock=self._clock, jitter=self._jitter
        )


async def _never() -> bool:
    return False


async def _always() -> bool:
    return True


def _uploaded(info: BundleInfo, *, sent: bool) -> UploadedBundle:
    return UploadedBundle(info.digest, info.entries, info.content_bytes, sent)
