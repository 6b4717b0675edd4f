"""What a program finds inside of a task: `iris.client.current()`."""

import atexit
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from iris.client.blocking_client import BlockingClient, MakeCall
from iris.client.client import Client
from iris.client.connected_task import COORDINATOR_TIMEOUT, ConnectedTask, Work
from iris.client.identity import TaskIdentity, task_identity
from iris.client.loop_thread import LoopThread
from iris.client.views import EndpointView, JobView, OutputView
from iris.model.ids import AttemptUid, JobId, TaskId
from iris.model.job import ExistingJobPolicy

T = TypeVar("T")


class TaskContext:
    """The task that this process belongs to. From any thread.

    The methods wait for the cluster's answer; coroutines use `connect` instead. The connection is
    made by the first call, with the task's own token, and closed when the program ends.
    """

    def __init__(self, identity: TaskIdentity) -> None:
        """See `current`."""
        self.identity = identity
        self._lock = threading.Lock()
        self._thread = LoopThread("iris-task-client")
        self._stack: AsyncExitStack | None = None
        self._connected: ConnectedTask | None = None

    @property
    def job_id(self) -> JobId:
        """Of this task's job."""
        return self.identity.job_id

    @property
    def task_id(self) -> TaskId:
        """`<job>/<index>`."""
        return self.identity.task_id

    @property
    def index(self) -> int:
        """Of the task within its job, from 0."""
        return self.identity.index

    @property
    def num_tasks(self) -> int:
        """How many tasks the job has."""
        return self.identity.num_tasks

    @property
    def attempt_uid(self) -> AttemptUid:
        """Of this run of the task."""
        return self.identity.attempt_uid

    @property
    def attempt_number(self) -> int:
        """0 is the task's first run."""
        return self.identity.attempt_number

    @property
    def ports(self) -> Mapping[str, int]:
        """TCP ports that are this task's, by the names that the job gave them."""
        return self.identity.ports

    @property
    def peer_hosts(self) -> tuple[str, ...]:
        """Hosts of the gang's tasks in order of their indices; empty without a gang."""
        return self.identity.peer_hosts

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[ConnectedTask]:
        """The same for coroutines, on their own event loop: `async with current().connect() as
        task`.
        """
        identity = self.identity
        async with Client.connect(identity.controller_address, identity.token) as client:
            yield ConnectedTask(identity, client)

    @property
    def client(self) -> BlockingClient:
        """For calls that are not about this very task."""
        return BlockingClient(self._call_client)

    def launch_child(
        self,
        name: str,
        work: Work,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        policy: ExistingJobPolicy = ExistingJobPolicy.ERROR,
        **details: Any,
    ) -> "ChildJob":
        """Submits a job below this task's own; see ConnectedTask.launch_child."""
        child = self._run(
            lambda task: task.launch_child(
                name, work, args=args, kwargs=kwargs, policy=policy, **details
            )
        )
        return ChildJob(child.job_id, self.client)

    def register_endpoint(
        self, name: str, address: str, metadata: Mapping[str, str] | None = None
    ) -> EndpointView:
        """Makes known where this task can be reached, until it ends: as `<job>/<name>`."""
        return self._run(lambda task: task.register_endpoint(name, address, metadata))

    def unregister_endpoint(self, name: str) -> None:
        """Takes it back before the task ends."""
        self._run(lambda task: task.unregister_endpoint(name))

    def coordinator_address(
        self, port: str = "jax", timeout: timedelta = COORDINATOR_TIMEOUT
    ) -> str:
        """One address for all tasks of a gang; see ConnectedTask.coordinator_address."""
        return self._run(lambda task: task.coordinator_address(port, timeout))

    def endpoints(self, prefix: str = "") -> tuple[EndpointView, ...]:
        """Endpoints whose full name begins so; without a prefix those of this job and below."""
        return self.client.endpoints(prefix or f"{self.job_id}/")

    def publish_output(self, name: str, folder: Path | str) -> OutputView:
        """Keeps the folder as it is now, beyond the task's end, as an output of this task."""
        return self._run(lambda task: task.publish_output(name, folder))

    def fetch_output(self, task_id: TaskId, name: str, folder: Path | str) -> OutputView:
        """Makes a new folder a copy of an output of a task of this job, or of one below it."""
        return self.client.fetch_output(task_id, name, folder)

    def close(self) -> None:
        """Ends the connection before the program ends. Idempotent."""
        with self._lock:
            stack, self._stack, self._connected = self._stack, None, None
            if stack is not None:
                self._thread.run(stack.aclose())
            self._thread.close()
        atexit.unregister(self.close)

    def _call_client(self, make: MakeCall[T]) -> T:
        return self._run(lambda task: make(task.client))

    def _run(self, make: Callable[[ConnectedTask], Coroutine[Any, Any, T]]) -> T:
        return self._thread.run(self._with_connection(make))

    async def _with_connection(self, make: Callable[[ConnectedTask], Coroutine[Any, Any, T]]) -> T:
        return await make(await self._connection())

    async def _connection(self) -> ConnectedTask:
        """Made once, on the thread's own event loop; nothing here waits for anything."""
        if self._connected is None:
            stack = AsyncExitStack()
            self._connected = await stack.enter_async_context(self.connect())
            self._stack = stack
            atexit.register(self.close)
        return self._connected


@dataclass(frozen=True, slots=True)
class ChildJob:
    """A job that a task has launched."""

    job_id: JobId
    client: BlockingClient

    def get(self) -> JobView:
        """The job now."""
        return self.client.get(self.job_id)

    def wait(self, timeout: timedelta | None = None) -> JobView:
        """The job once it has ended, however it did. Raises DeadlineExceeded."""
        return self.client.wait(self.job_id, timeout)

    def terminate(self, reason: str = "") -> JobView:
        """Asks for its end."""
        return self.client.terminate(self.job_id, reason)


@cache
def current() -> TaskContext:
    """The task that this process belongs to; always the same object.

    Raises FailedPrecondition outside of a task.
    """
    return TaskContext(task_identity(os.environ))
