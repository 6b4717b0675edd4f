"""The calls about what running tasks make known: endpoints and outputs."""

from collections.abc import Mapping
from pathlib import Path

from iris_proto import actor_pb2, controller_pb2, job_pb2

from iris.client.bundle_calls import BundleCalls
from iris.client.views import EndpointView, OutputView
from iris.model.ids import AttemptUid, TaskId


class PublishedCalls(BundleCalls):
    """Registers, publishes and finds. A task's own token serves for its own attempt only."""

    async def register_endpoint(
        self,
        attempt_uid: AttemptUid,
        name: str,
        address: str,
        metadata: Mapping[str, str] | None = None,
    ) -> EndpointView:
        """Makes known where an attempt that runs can be reached, until it ends. `name` becomes
        `<job>/<name>`; the same name again takes the older one's place.

        Raises FailedPrecondition once the attempt has ended.
        """
        request = controller_pb2.RegisterEndpointRequest(
            attempt_uid=attempt_uid, name=name, address=address, metadata=metadata or {}
        )
        return endpoint_view(
            await self._call("RegisterEndpoint", self._jobs.RegisterEndpoint, request)
        )

    async def unregister_endpoint(self, attempt_uid: AttemptUid, name: str) -> None:
        """Takes it back; nothing happens if there is none."""
        request = controller_pb2.UnregisterEndpointRequest(attempt_uid=attempt_uid, name=name)
        await self._call("UnregisterEndpoint", self._jobs.UnregisterEndpoint, request)

    async def endpoints(self, prefix: str, *, limit: int = 1_000) -> tuple[EndpointView, ...]:
        """Endpoints of tasks that run, whose full name (`/alice/train/server`) begins with the
        prefix, in order of their names.
        """
        request = controller_pb2.ListEndpointsRequest(prefix=prefix, limit=limit)
        answer = await self._call("ListEndpoints", self._jobs.ListEndpoints, request)
        return tuple(endpoint_view(endpoint) for endpoint in answer.endpoints)

    async def publish_output(self, attempt_uid: AttemptUid, name: str, folder: Path) -> OutputView:
        """Keeps the folder as it is now, as an output of an attempt that runs; the same name again
        takes the older one's place.

        Raises FailedPrecondition once the attempt has ended; InvalidArgument for a folder that
        cannot be a bundle.
        """
        bundle = await self.upload_bundle(folder)
        request = controller_pb2.PublishOutputRequest(
            attempt_uid=attempt_uid, name=name, digest=bundle.digest
        )
        return output_view(await self._call("PublishOutput", self._jobs.PublishOutput, request))

    async def output(self, task_id: TaskId, name: str) -> OutputView:
        """What the latest attempt that published this name gave it. Raises NotFound."""
        request = controller_pb2.GetOutputRequest(task_id=task_id, name=name)
        return output_view(await self._call("GetOutput", self._jobs.GetOutput, request))

    async def fetch_output(self, task_id: TaskId, name: str, folder: Path) -> OutputView:
        """Makes `folder` a copy of a task's output. Raises NotFound; AlreadyExists if there is such
        a folder.
        """
        found = await self.output(task_id, name)
        await self.download_bundle(found.digest, folder)
        return found

    async def issue_ticket(self, attempt_uid: AttemptUid) -> actor_pb2.Ticket:
        """What calls to an object that this attempt hosts are signed with (see iris.actor).

        Raises NotFound once it has ended; PermissionDenied for one of another user.
        """
        request = actor_pb2.IssueTicketRequest(attempt_uid=attempt_uid)
        ticket: actor_pb2.Ticket = await self._call(
            "IssueTicket", self._tickets.IssueTicket, request
        )
        return ticket


def endpoint_view(message: job_pb2.Endpoint) -> EndpointView:
    """An endpoint."""
    return EndpointView(
        name=message.name,
        address=message.address,
        metadata=dict(message.metadata),
        task_id=TaskId(message.task_id),
        attempt_uid=AttemptUid(message.attempt_uid),
    )


def output_view(message: job_pb2.TaskOutput) -> OutputView:
    """An output."""
    return OutputView(message.name, message.digest, message.bytes)
