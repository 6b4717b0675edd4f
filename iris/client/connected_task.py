"""A task's view of its cluster, for coroutines: child jobs, endpoints, outputs."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from iris.client.client import Client
from iris.client.entrypoints import entrypoint_of
from iris.client.identity import TaskIdentity
from iris.client.views import EndpointView, JobView, OutputView
from iris.model.errors import DeadlineExceeded, FailedPrecondition
from iris.model.ids import JobId, parse_job_id
from iris.model.job import ExistingJobPolicy, JobSpec

COORDINATOR_TIMEOUT = timedelta(minutes=5)
_ASK_AGAIN_SECONDS = 0.2

# What a child job may be: a specification, or a function that each of its tasks calls.
Work = JobSpec | Callable[..., object]


@dataclass(frozen=True, slots=True)
class ConnectedChild:
    """A job that a task has launched, for coroutines."""

    job_id: JobId
    client: Client

    async def get(self) -> JobView:
        """The job now."""
        return await self.client.get(self.job_id)

    async def wait(self, timeout: timedelta | None = None) -> JobView:
        """The job once it has ended, however it did. Raises DeadlineExceeded."""
        return await self.client.wait(self.job_id, timeout)

    async def terminate(self, reason: str = "") -> JobView:
        """Asks for its end."""
        return await self.client.terminate(self.job_id, reason)


@dataclass(frozen=True, slots=True)
class ConnectedTask:
    """This task, connected to its cluster. For the event loop that it was connected on."""

    identity: TaskIdentity
    client: Client

    async def launch_child(
        self,
        name: str,
        work: Work,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        policy: ExistingJobPolicy = ExistingJobPolicy.ERROR,
        **details: Any,
    ) -> ConnectedChild:
        """Submits a job below this task's own. Unless it outlives its parent, it ends with it.

        Args:
            name: It becomes `<job>/<name>`.
            work: A specification; or a function, which is called with `args` and `kwargs` by a
                task with the bundle, environment, variables, priority and resources of this one.
            policy: What happens if there is such a job: perhaps from an earlier attempt of this task.
            details: Fields of the JobSpec that are to be different.

        Raises InvalidArgument, AlreadyExists and so on: see Client.launch.
        """
        job_id = parse_job_id(f"{self.identity.job_id}/{name}")
        if isinstance(work, JobSpec):
            spec = replace(work, **details)
        else:
            spec = await self._spec_for(work, args, kwargs or {}, details)
        await self.client.launch(job_id, spec, policy=policy)
        return ConnectedChild(job_id, self.client)

    async def _spec_for(
        self,
        function: Callable[..., object],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        details: Mapping[str, Any],
    ) -> JobSpec:
        entrypoint = entrypoint_of(function, *args, **kwargs)
        own = (await self.client.get(self.identity.job_id, max_tasks=1)).spec
        like_own: dict[str, Any] = {
            "resources": replace(own.resources, ports=0),
            "bundle_digest": own.bundle_digest,
            "environment": own.environment,
            "env": own.env,
            "priority": own.priority,
        }
        return JobSpec(entrypoint=entrypoint, **{**like_own, **details})

    async def register_endpoint(
        self, name: str, address: str, metadata: Mapping[str, str] | None = None
    ) -> EndpointView:
        """Makes known where this task can be reached, until it ends: as `<job>/<name>`."""
        return await self.client.register_endpoint(
            self.identity.attempt_uid, name, address, metadata
        )

    async def unregister_endpoint(self, name: str) -> None:
        """Takes it back before the task ends."""
        await self.client.unregister_endpoint(self.identity.attempt_uid, name)

    async def coordinator_address(
        self, port: str = "jax", timeout: timedelta = COORDINATOR_TIMEOUT
    ) -> str:
        """One address for all tasks of a gang: `host:port` of task 0, which listens there on its
        port of that name. Task 0 makes it known as the endpoint `<job>/coordinator-<port>`; the
        others wait for that.

        Raises FailedPrecondition for a job that is no gang or has no such port, DeadlineExceeded
        when task 0 does not ask for it in time.
        """
        task = self.identity
        if port not in task.ports or not task.peer_hosts:
            raise FailedPrecondition(
                f"{task.job_id} is no gang, or has no port named {port!r}.",
                hint="Submit it as a gang that names the port: its first task listens there.",
            )
        name = f"coordinator-{port}"
        if task.index == 0:
            made = await self.register_endpoint(name, f"{task.peer_hosts[0]}:{task.ports[port]}")
            return made.address
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._address_of(f"{task.job_id}/{name}")
        except TimeoutError:
            raise DeadlineExceeded(
                f"Task 0 of {task.job_id} has not told its address after {timeout}.",
                hint="Every task of the gang has to ask for it.",
            ) from None

    async def _address_of(self, name: str) -> str:
        """Nobody is told of new endpoints, so this asks again and again."""
        while True:
            for endpoint in await self.client.endpoints(name, limit=2):
                if endpoint.name == name:
                    return endpoint.address
            await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def publish_output(self, name: str, folder: Path | str) -> OutputView:
        """Keeps the folder as it is now, beyond the task's end, as an output of this task."""
        return await self.client.publish_output(self.identity.attempt_uid, name, Path(folder))
