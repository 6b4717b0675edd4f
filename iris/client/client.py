"""The SDK a program uses: an async client of one cluster."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from iris_proto import controller_pb2

from iris.client.caller import ClientOptions
from iris.client.calls import call_errors
from iris.client.log_positions import LogPositions
from iris.client.published_calls import PublishedCalls
from iris.client.retry import Jitter
from iris.client.streams import read_through_breaks
from iris.client.views import (
    BackUpView,
    ClusterView,
    ExplanationView,
    HealthView,
    JobView,
    Launched,
    LogLine,
    LogStream,
    WorkerView,
)
from iris.client.views_from_proto import (
    LOG_STREAMS,
    back_up_view,
    cluster_view,
    explanation_view,
    health_view,
    job_view,
    log_lines,
    worker_view,
)
from iris.host.clock import Clock, SystemClock
from iris.host.ids import IdSource, RandomIds
from iris.model.errors import DeadlineExceeded
from iris.model.faults import Fault
from iris.model.ids import JobId, WorkerId, parse_job_id, parse_job_or_task_id
from iris.model.job import ExistingJobPolicy, JobSpec
from iris.rpc.channels import open_channel
from iris.rpc.convert_faults import fault_to_proto
from iris.rpc.convert_job import EXISTING_JOB_POLICIES, job_spec_to_proto
from iris.rpc.convert_values import timestamp_to_proto

T = TypeVar("T")

_PAGE = 500


_DEFAULT_OPTIONS = ClientOptions()
_SYSTEM_CLOCK = SystemClock()
_RANDOM_IDS = RandomIds()


class Client(PublishedCalls):
    """One cluster, over one connection. Use on the event loop it was connected on; any number of
    calls at once.

    Every call may be made again without harm, and is while the controller cannot be reached (see
    ClientOptions). Every call raises IrisError: Unauthenticated for a wrong token, NotFound,
    Unavailable and so on, each with a hint.
    """

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
        answer = await self._call("LaunchJob", self._jobs.LaunchJob, request, within=within)
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
                # All tasks at every change would be much to describe, and nobody looks at them.
                aclosing(self.watch(job_id, max_tasks=1)) as jobs,
            ):
                async for job in jobs:
                    last = job
                assert last is not None, "a watch always ends with a terminal state"
                if last.spec.replicas == 1:
                    return last
                whole = await self.get(job_id)
        except TimeoutError:
            state = last.state.value if last else "not known"
            raise DeadlineExceeded(
                f"{job_id} had not ended after {timeout}; its state was: {state}.",
                hint="Wait longer, or ask why: iris job explain.",
            ) from None
        # Another job of that name may have taken its place meanwhile.
        return whole if whole.submitted_at == last.submitted_at else last

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
        grep: str = "",
        streams: Collection[LogStream] = (),
    ) -> AsyncGenerator[LogLine, None]:
        """Log lines of a job's or a task's attempts, each attempt's in order; none twice, and none
        left out that was asked for. Where the cluster has dropped lines that were too many to keep,
        a SYSTEM line says how many.

        Close it (`contextlib.aclosing`) when leaving early.

        Args:
            follow: Until the job has ended and all of it was said; survives the controller's
                restart.
            tail: Begin with the last N lines of each attempt, of those that match; 0 begins with
                the first.
            since: Only lines at or after this time.
            grep: Only lines in whose first 4 KiB this regular expression is found (Python's syntax,
                on bytes; see controller.proto for its bounds). Empty: all.
            streams: Only lines of these; empty: all.

        Raises InvalidArgument for a pattern that is wrong, with the position, or not taken.
        """
        parse_job_or_task_id(job_or_task)
        positions = LogPositions()

        def open_stream(seconds: float) -> Any:
            # After a break "the last N" would be others, and leave a gap; what was had before is
            # known by its position.
            lines = 0 if len(positions) else tail
            request = controller_pb2.TailLogsRequest(
                id=job_or_task,
                follow=follow,
                tail=lines,
                since=timestamp_to_proto(since),
                grep=grep,
                streams=[LOG_STREAMS.to_proto(stream) for stream in streams],
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

    async def drain_worker(self, worker_id: WorkerId, *, drain: bool = True) -> WorkerView:
        """Has a worker take no new work, or (`drain=False`) take work again; what runs there goes
        on. The worker as it is then. Raises NotFound.
        """
        request = controller_pb2.DrainWorkerRequest(worker_id=worker_id, drain=drain)
        return worker_view(await self._call("DrainWorker", self._jobs.DrainWorker, request))

    async def vm_log(self, vm_id: str, *, tail: int = 0) -> str:
        """What happened on a VM while it came up, and since: lines of text, the last `tail` (0: all there are). Also
        of one that failed or is gone, for a while. Raises NotFound.
        """
        request = controller_pb2.FetchVmLogRequest(vm_id=vm_id, tail=tail)
        answer = await self._call("FetchVmLog", self._jobs.FetchVmLog, request)
        return str(answer.text)

    async def inject_fault(self, fault: Fault) -> str:
        """Breaks something on purpose, where the cluster's configuration lets that be done; what was done, for people.

        Asked once: a second time it would do more. Raises FailedPrecondition where it is not allowed, or the target is
        not in a state to be broken; NotFound.
        """
        with call_errors(self._doing("InjectFault")):
            answer = await self._jobs.InjectFault(
                fault_to_proto(fault), timeout=self._options.call_timeout.total_seconds()
            )
        return str(answer.done)

    async def back_up(self) -> BackUpView:
        """Has the controller write a consistent copy of its database into its state folder, while
        it runs. A call that is made again after a break leaves two.
        """
        within = self._options.transfer_timeout
        request = controller_pb2.BackUpRequest()
        answer = await self._call("BackUp", self._jobs.BackUp, request, within=within)
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


async def _never() -> bool:
    return False


async def _always() -> bool:
    return True
