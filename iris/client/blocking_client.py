"""A client for programs without an event loop: every call waits for its answer."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from iris.client.client import Client
from iris.client.views import (
    EndpointView,
    ExplanationView,
    JobView,
    Launched,
    LogLine,
    OutputView,
    UploadedBundle,
)
from iris.model.ids import JobId, TaskId
from iris.model.job import ExistingJobPolicy, JobSpec

T = TypeVar("T")

# Makes a call of a connected client, on the event loop that it belongs to.
MakeCall = Callable[[Client], Coroutine[Any, Any, T]]


@dataclass(frozen=True, slots=True)
class BlockingClient:
    """The calls of `Client` that programs make most; see there. From any thread but one with a
    running event loop.

    Attributes:
        call: Waits for any other: `client.call(lambda client: client.cluster_status())`.
    """

    call: Callable[[MakeCall[Any]], Any]

    def launch(
        self,
        job_id: JobId,
        spec: JobSpec,
        *,
        policy: ExistingJobPolicy = ExistingJobPolicy.ERROR,
    ) -> Launched:
        """Submits a job."""
        return self._call(lambda client: client.launch(job_id, spec, policy=policy))

    def get(self, job_id: JobId, *, max_tasks: int = 0) -> JobView:
        """A job now."""
        return self._call(lambda client: client.get(job_id, max_tasks=max_tasks))

    def wait(self, job_id: JobId, timeout: timedelta | None = None) -> JobView:
        """The job once it has ended, however it did. Raises DeadlineExceeded."""
        return self._call(lambda client: client.wait(job_id, timeout))

    def explain(self, job_id: JobId) -> ExplanationView:
        """Where a job stands and why."""
        return self._call(lambda client: client.explain(job_id))

    def terminate(self, job_id: JobId, reason: str = "") -> JobView:
        """Asks for a job's end."""
        return self._call(lambda client: client.terminate(job_id, reason))

    def logs(self, job_or_task: str, *, tail: int = 0) -> tuple[LogLine, ...]:
        """The lines so far."""

        async def read(client: Client) -> tuple[LogLine, ...]:
            return tuple([line async for line in client.tail_logs(job_or_task, tail=tail)])

        return self._call(read)

    def endpoints(self, prefix: str) -> tuple[EndpointView, ...]:
        """Endpoints whose full name begins so."""
        return self._call(lambda client: client.endpoints(prefix))

    def fetch_output(self, task_id: TaskId, name: str, folder: Path | str) -> OutputView:
        """Makes a new folder a copy of a task's output."""
        return self._call(lambda client: client.fetch_output(task_id, name, Path(folder)))

    def upload_bundle(self, folder: Path | str) -> UploadedBundle:
        """Makes sure that the cluster has the folder as it is now."""
        return self._call(lambda client: client.upload_bundle(Path(folder)))

    def _call(self, make: MakeCall[T]) -> T:
        answer: T = self.call(make)
        return answer
