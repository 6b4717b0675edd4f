"""What running tasks make known, and who asks for it: endpoints and outputs."""

from itertools import islice

from iris_proto import controller_pb2, controller_pb2_grpc, job_pb2

from iris.controller.bundle_store import BundleStore
from iris.controller.convert_job import output_to_proto
from iris.controller.loop import ControlLoop
from iris.controller.state import events
from iris.controller.state.machine import ControllerState
from iris.controller.state.published import full_name
from iris.controller.state.records import AttemptRecord
from iris.host.clock import Clock
from iris.model.errors import FailedPrecondition, InvalidArgument, NotFound
from iris.model.ids import AttemptUid, parse_job_or_task_id
from iris.model.published import Endpoint, TaskOutput
from iris.rpc.scopes import TaskScope, check_is_attempt, check_may_read

_DEFAULT_ENDPOINTS = 1_000
_MAX_ENDPOINTS = 10_000


def active_task(state: ControllerState, uid: AttemptUid) -> TaskScope | None:
    """Who calls with the token of this attempt; None once it is over."""
    attempt = state.jobs.attempt(uid)
    if attempt is None or not attempt.state.is_active:
        return None
    return TaskScope(uid, attempt.job_id)


class PublishedCalls(controller_pb2_grpc.ControllerServiceServicer):
    """These calls of the ControllerService; see controller.proto."""

    def __init__(self, loop: ControlLoop, bundles: BundleStore, clock: Clock) -> None:
        self._turns = loop
        self._kept = bundles
        self._time = clock

    async def RegisterEndpoint(
        self, request: controller_pb2.RegisterEndpointRequest, context: object
    ) -> job_pb2.Endpoint:
        """Answers once it survives a crash."""
        check_is_attempt(request.attempt_uid, "register endpoints for")
        uid = AttemptUid(request.attempt_uid)
        metadata = tuple(sorted(request.metadata.items()))
        endpoint = Endpoint(request.name, request.address, metadata)
        event = events.EndpointRegistered(self._time.now(), uid, endpoint)
        await self._turns.request(lambda _: event)
        return _endpoint_to_proto(self._attempt(uid), endpoint)

    async def UnregisterEndpoint(
        self, request: controller_pb2.UnregisterEndpointRequest, context: object
    ) -> controller_pb2.UnregisterEndpointResponse:
        """Also if there is none."""
        check_is_attempt(request.attempt_uid, "take back endpoints of")
        uid = AttemptUid(request.attempt_uid)
        event = events.EndpointUnregistered(self._time.now(), uid, request.name)
        await self._turns.request(lambda _: event)
        return controller_pb2.UnregisterEndpointResponse()

    async def ListEndpoints(
        self, request: controller_pb2.ListEndpointsRequest, context: object
    ) -> controller_pb2.ListEndpointsResponse:
        """Of everybody: who may call at all may find others."""
        if request.limit < 0:
            raise InvalidArgument(
                f"limit is {request.limit}.", hint=f"0 means {_DEFAULT_ENDPOINTS}."
            )
        await self._turns.settled()
        found = self._turns.state.published.endpoints(request.prefix)
        limit = min(request.limit or _DEFAULT_ENDPOINTS, _MAX_ENDPOINTS)
        return controller_pb2.ListEndpointsResponse(
            endpoints=[_endpoint_to_proto(*one) for one in islice(found, limit)]
        )

    async def PublishOutput(
        self, request: controller_pb2.PublishOutputRequest, context: object
    ) -> job_pb2.TaskOutput:
        """Answers once it survives a crash."""
        check_is_attempt(request.attempt_uid, "publish outputs of")
        if not self._kept.has(request.digest):
            raise FailedPrecondition(
                f"The controller has no bundle {request.digest}.",
                hint="Upload it first, then publish it.",
            )
        output = TaskOutput(request.name, request.digest, self._kept.size(request.digest))
        uid = AttemptUid(request.attempt_uid)
        event = events.OutputPublished(self._time.now(), uid, output)
        await self._turns.request(lambda _: event)
        return output_to_proto(output)

    async def GetOutput(
        self, request: controller_pb2.GetOutputRequest, context: object
    ) -> job_pb2.TaskOutput:
        """Of the latest attempt that published one of this name, whatever became of it."""
        job_id, index = parse_job_or_task_id(request.task_id)
        if index is None:
            raise InvalidArgument(
                f"{job_id} is a job; outputs are a task's.", hint=f"Its first task is {job_id}/0."
            )
        check_may_read(job_id, "fetch outputs of")
        await self._turns.settled()
        jobs = self._turns.state.jobs
        job = jobs.get(job_id)
        if job is None or index >= len(job.tasks):
            raise NotFound(f"There is no task {request.task_id}.", hint="iris job list")
        names = set()
        for attempt in reversed(list(jobs.attempts_of(job, index))):
            for output in attempt.outputs:
                names.add(output.name)
                if output.name == request.name:
                    return output_to_proto(output)
        raise NotFound(
            f"{request.task_id} has published no output {request.name!r}.",
            hint=f"It has published: {', '.join(sorted(names)) or 'nothing'}.",
        )

    def _attempt(self, uid: AttemptUid) -> AttemptRecord:
        attempt = self._turns.state.jobs.attempt(uid)
        assert attempt is not None, "something was registered for it"
        return attempt


def _endpoint_to_proto(attempt: AttemptRecord, endpoint: Endpoint) -> job_pb2.Endpoint:
    return job_pb2.Endpoint(
        name=full_name(attempt, endpoint),
        address=endpoint.address,
        metadata=dict(endpoint.metadata),
        task_id=attempt.task_id,
        attempt_uid=attempt.uid,
    )
