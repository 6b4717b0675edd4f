"""What users and programs ask: checks the request, has the loop do it, and answers what is
committed.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from iris_proto import cluster_pb2, controller_pb2, job_pb2

from iris.autoscaler.demand import CapacityPlanner
from iris.controller.back_ups import back_up
from iris.controller.bundle_store import BundleStore
from iris.controller.convert_cluster import add_scaling_report, worker_to_proto
from iris.controller.convert_job import job_explanation, job_status, job_status_with_tasks
from iris.controller.log_filter import LogFilter
from iris.controller.log_store import LogStore
from iris.controller.log_tail import LogTail
from iris.controller.loop import ControlLoop
from iris.controller.options import ControllerOptions
from iris.controller.pending_reasons import PendingReasons
from iris.controller.published_calls import PublishedCalls
from iris.controller.state import events
from iris.controller.state.explain import explain
from iris.controller.state.jobs import Job
from iris.controller.state.machine import ControllerState
from iris.controller.store import Store
from iris.controller.submission import Launch, SubmissionRules
from iris.controller.watch import Watcher, WatchHub
from iris.host.clock import Clock
from iris.model.errors import FailedPrecondition, InvalidArgument, NotFound, Unavailable
from iris.model.ids import JobId, WorkerId, parse_job_id, parse_job_or_task_id
from iris.model.job import ExistingJobPolicy
from iris.model.states import TaskState
from iris.rpc.convert_faults import fault_from_proto
from iris.rpc.convert_values import timestamp_to_proto
from iris.rpc.scopes import check_may_change, check_may_read

_log = logging.getLogger(__name__)

_DEFAULT_TASKS = 1_000
_MAX_TASKS = 10_000
_DEFAULT_JOBS = 100
_MAX_JOBS = 1_000
_MOST_VM_LOG_LINES = 1_000_000


@dataclass(frozen=True, slots=True)
class ControllerIdentity:
    """Who answers."""

    incarnation_id: str
    started_at: datetime


class ControllerService(PublishedCalls):
    """See controller.proto. For the event loop of the ControlLoop."""

    def __init__(
        self,
        loop: ControlLoop,
        planner: CapacityPlanner,
        logs: LogStore,
        hub: WatchHub,
        reasons: PendingReasons,
        rules: SubmissionRules,
        options: ControllerOptions,
        *,
        store: Store,
        bundles: BundleStore,
        identity: ControllerIdentity,
        clock: Clock,
    ) -> None:
        super().__init__(loop, bundles, clock)
        self._loop = loop
        self._state = loop.state
        self._planner = planner
        self._logs = logs
        self._hub = hub
        self._reasons = reasons
        self._rules = rules
        self._options = options
        self._store = store
        self._identity = identity
        self._clock = clock

    async def LaunchJob(
        self, request: controller_pb2.LaunchJobRequest, context: object
    ) -> controller_pb2.LaunchJobResponse:
        """Answers once the job survives a crash; replacing one, after that one has ended, for which
        there is as much time as the caller gave the call.
        """
        check_may_change(request.job_id, "launch")
        await self._loop.settled()
        launch = self._rules.read(request, self._state)
        known = self._state.jobs.get(launch.job_id)
        created = launch.made(known)
        if known is None or not launch.accepts(known):
            if known is None or launch.policy is not ExistingJobPolicy.ERROR:
                self._rules.check(launch.job_id, launch.spec)
            created = await self._submit(launch)
        return controller_pb2.LaunchJobResponse(
            job=self._describe(self._job(launch.job_id), 0), created=created
        )

    async def _submit(self, launch: Launch) -> bool:
        """Whether it was this request that made the job that has the name now."""

        def submitted(state: ControllerState) -> events.JobSubmitted | None:
            known = state.jobs.get(launch.job_id)
            if known is not None and launch.has_to_end(known):
                return None
            return events.JobSubmitted(
                self._clock.now(), launch.job_id, launch.spec, launch.request_id, launch.policy
            )

        while True:
            effects = await self._loop.request(submitted)
            known = self._job(launch.job_id)
            if effects.submitted or not launch.has_to_end(known):
                return bool(effects.submitted) or launch.made(known)
            # Also if somebody else was faster and has put another one in its place.
            await self._end(known, "another job takes its name")

    async def _end(self, job: Job, reason: str) -> None:
        """Ends a job and returns once it has ended."""
        with self._hub.watch(job.job_id) as watcher:
            event = events.TerminateRequested(self._clock.now(), job.job_id, reason)
            await self._loop.request(lambda _: event)
            while self._state.jobs.get(job.job_id) is job and not job.record.state.is_terminal:
                await self._next_version(watcher)
                watcher.clear()

    async def GetJob(
        self, request: controller_pb2.GetJobRequest, context: object
    ) -> job_pb2.JobStatus:
        """A job and its tasks."""
        check_may_read(request.job_id, "look at")
        await self._loop.settled()
        return self._describe(self._job(parse_job_id(request.job_id)), request.max_tasks)

    async def ListJobs(
        self, request: controller_pb2.ListJobsRequest, context: object
    ) -> controller_pb2.ListJobsResponse:
        """Newest first; a page at a time."""
        limit = _within(request.limit, _DEFAULT_JOBS, _MAX_JOBS, "limit")
        if request.before < 0:
            raise InvalidArgument(
                f"before is {request.before}.", hint="Use `next` of the last page."
            )
        await self._loop.settled()
        found = (
            job
            for job in self._state.jobs.newest_first(request.before or None)
            if job.job_id.startswith(request.prefix)
            and not (request.active_only and job.record.state.is_terminal)
        )
        page = list(islice(found, limit + 1))
        more = len(page) > limit
        return controller_pb2.ListJobsResponse(
            jobs=[job_status(job) for job in page[:limit]],
            next=page[limit - 1].record.number if more else 0,
        )

    async def WatchJob(
        self, request: controller_pb2.WatchJobRequest, context: object
    ) -> AsyncIterator[job_pb2.JobStatus]:
        """A slow watcher skips versions, but never the last."""
        check_may_read(request.job_id, "watch")
        job_id = parse_job_id(request.job_id)
        with self._hub.watch(job_id) as watcher:
            while True:
                await self._loop.settled()
                watcher.clear()
                job = self._job(job_id)
                status = self._describe(job, request.max_tasks)
                ended = job.record.state.is_terminal
                yield status
                if ended:
                    return
                await self._next_version(watcher)

    async def _next_version(self, watcher: Watcher) -> None:
        while True:
            await watcher.wait()
            if watcher.closed:
                raise Unavailable("The controller is stopping.", hint="Ask again in a while.")
            if watcher.job_changed:
                return
            watcher.clear()  # only log lines

    async def TerminateJob(
        self, request: controller_pb2.TerminateJobRequest, context: object
    ) -> job_pb2.JobStatus:
        """Answers once it is certain to end, which may be before it has."""
        check_may_change(request.job_id, "end")
        job_id = parse_job_id(request.job_id)
        event = events.TerminateRequested(self._clock.now(), job_id, request.reason)
        await self._loop.request(lambda _: event)
        return self._describe(self._job(job_id), 0)

    async def ExplainJob(
        self, request: controller_pb2.ExplainJobRequest, context: object
    ) -> job_pb2.JobExplanation:
        """Of any job at any time."""
        check_may_read(request.job_id, "ask about")
        await self._loop.settled()
        job = self._job(parse_job_id(request.job_id))
        children = self._state.jobs.children_of(job.job_id)
        return job_explanation(explain(job, self._reasons.of(job), self._clock.now(), children))

    async def TailLogs(
        self, request: controller_pb2.TailLogsRequest, context: object
    ) -> AsyncIterator[controller_pb2.TailLogsResponse]:
        """Of a job or a task."""
        job_id, index = parse_job_or_task_id(request.id)
        check_may_read(job_id, "read the logs of")
        if request.tail < 0:
            raise InvalidArgument(f"tail is {request.tail}.", hint="0 means all lines.")
        wanted = LogFilter(request.grep, request.streams)
        await self._loop.settled()
        job = self._job(job_id)
        if index is not None and index >= len(job.tasks):
            raise NotFound(f"{job_id} has no task {index}.", hint=f"It has {len(job.tasks)}.")
        with self._hub.watch(job_id) as watcher:
            tail = LogTail(
                self._state,
                self._logs,
                job,
                range(len(job.tasks)) if index is None else [index],
                tail=request.tail,
                since_ns=request.since.ToNanoseconds() if request.HasField("since") else 0,
                wanted=wanted,
            )
            messages = tail.follow(watcher) if request.follow else tail.so_far()
            async for message in messages:
                yield message

    async def GetClusterStatus(
        self, request: controller_pb2.GetClusterStatusRequest, context: object
    ) -> cluster_pb2.ClusterStatus:
        """Groups, slices, decisions, workers and counts, as of now."""
        await self._loop.settled()
        state, tasks = self._state, self._state.jobs.counts
        status = cluster_pb2.ClusterStatus(
            cluster=self._options.cluster,
            version=self._options.version,
            started_at=timestamp_to_proto(self._identity.started_at),
            workers=[
                worker_to_proto(state.fleet, worker, self._last_seen(worker.record.worker_id))
                for worker in state.fleet
            ],
            machine=self._options.machine(),
            jobs_active=state.jobs.active,
            tasks_pending=tasks[TaskState.PENDING],
            tasks_running=tasks[TaskState.RUNNING],
            fault_injection=self._options.inject_fault is not None,
        )
        add_scaling_report(status, self._planner.report())
        return status

    async def DrainWorker(
        self, request: controller_pb2.DrainWorkerRequest, context: object
    ) -> cluster_pb2.WorkerStatus:
        """Answers once it is stored: from then on nothing new is placed there."""
        worker_id = WorkerId(request.worker_id)
        event = events.WorkerDrainChanged(self._clock.now(), worker_id, request.drain)
        await self._loop.request(lambda _: event)
        worker = self._state.fleet.get(worker_id)
        if worker is None:  # gone while this was stored
            raise NotFound(
                f"There is no worker {worker_id} any more.",
                hint="`iris cluster status` shows those there are.",
            )
        return worker_to_proto(self._state.fleet, worker, self._last_seen(worker_id))

    async def FetchVmLog(
        self, request: controller_pb2.FetchVmLogRequest, context: object
    ) -> controller_pb2.FetchVmLogResponse:
        """Also while the VM comes up, or if it never did."""
        tail = _within(request.tail, 0, _MOST_VM_LOG_LINES, "tail")
        text = await self._options.vm_log(request.vm_id, tail)
        return controller_pb2.FetchVmLogResponse(text=text)

    async def InjectFault(
        self, request: controller_pb2.InjectFaultRequest, context: object
    ) -> controller_pb2.InjectFaultResponse:
        """Answers once it is done, or waits for the slices it is for."""
        inject = self._options.inject_fault
        if inject is None:
            raise FailedPrecondition(
                f"Cluster {self._options.cluster!r} does not let anybody break things on purpose.",
                hint="Set controller_vm.local.fault_injection to true, and restart it.",
            )
        fault = fault_from_proto(request)
        done = await inject(fault)
        _log.warning("fault injected: %s", done)
        return controller_pb2.InjectFaultResponse(done=done)

    async def BackUp(
        self, request: controller_pb2.BackUpRequest, context: object
    ) -> controller_pb2.BackUpResponse:
        """Of everything that was acknowledged before the call, at least."""
        made = await back_up(self._store, self._options.state_dir, self._clock.now())
        return controller_pb2.BackUpResponse(path=str(made.path), bytes=made.size_bytes)

    async def Health(
        self, request: controller_pb2.HealthRequest, context: object
    ) -> controller_pb2.HealthResponse:
        """Whether the loop turns."""
        return controller_pb2.HealthResponse(
            cluster=self._options.cluster,
            version=self._options.version,
            incarnation_id=self._identity.incarnation_id,
            started_at=timestamp_to_proto(self._identity.started_at),
            healthy=not self._loop.problem,
            problem=self._loop.problem,
        )

    def _job(self, job_id: JobId) -> Job:
        job = self._state.jobs.get(job_id)
        if job is None:
            raise NotFound(
                f"There is no job {job_id}.", hint="`iris job list` shows those there are."
            )
        return job

    def _describe(self, job: Job, max_tasks: int) -> job_pb2.JobStatus:
        tasks = _within(max_tasks, _DEFAULT_TASKS, _MAX_TASKS, "max_tasks")
        reason = self._reasons.of(job)
        return job_status_with_tasks(self._state, job, reason, tasks, self._clock.now())

    def _last_seen(self, worker_id: WorkerId) -> datetime | None:
        heard = self._loop.silence.last_heard(worker_id)
        if heard is None:
            return None
        return self._clock.now() - timedelta(seconds=self._clock.monotonic() - heard)


def _within(value: int, default: int, most: int, name: str) -> int:
    """A caller's limit. Raises InvalidArgument for a negative one."""
    if value < 0:
        raise InvalidArgument(f"{name} is {value}.", hint=f"0 means {default}.")
    return min(value or default, most)
