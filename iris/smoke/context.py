"""What a case works with: a client, the bundle, names of its own, and a place for its evidence."""

import asyncio
import os
import random
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from iris.client import Client, JobView, LogStream
from iris.host.ports import PortAllocator
from iris.model.ids import JobId, parse_job_id
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import Resources
from iris.model.states import JobState
from iris.smoke.case import CheckFailed, Evidence, Mark, check
from iris.smoke.groups import TASK

SMALL = TASK
_KEPT_LINES = 50
# For a call that is made once, and may take as long as the case: on a machine with too much to do, any may.
PATIENCE = timedelta(minutes=1)


class Control(Protocol):
    """What the flow can do to the controller of a cluster that it started. Methods block; any thread."""

    def kill(self) -> int:
        """Ends the controller's process as a crash does (SIGKILL); its pid."""

    def start(self) -> "Cluster":
        """Brings it up again. Raises IrisError."""

    def reload(self) -> "Cluster":
        """Has it run the present code and configuration. Raises IrisError."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster under test, as the flow reached it.

    Attributes:
        offers: What cases may need and is known beforehand (see Case.needs).
        started_here: This flow started it on this machine, and has to leave nothing of it.
        state_dir: Of a cluster that was started here.
        control: Likewise.
    """

    address: str
    token: str = field(repr=False)
    offers: frozenset[str]
    started_here: bool
    state_dir: Path | None = None
    control: Control | None = None


@dataclass(slots=True)
class CaseContext:
    """One case's view of the flow. Evidence and log lines end up in the report.

    Attributes:
        joining: Held by a case that has started a worker itself: each is a whole Python process, and the flow has
            little memory.
    """

    client: Client
    cluster: Cluster
    bundle_digest: str
    python: str
    prefix: str
    case_name: str
    ports: PortAllocator
    joining: asyncio.Semaphore
    seed: int = 0
    evidence: list[Evidence] = field(default_factory=list)
    log_lines: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def saw(self, label: str, value: object) -> None:
        """Records a fact that proves that work ran."""
        self.evidence.append(Evidence(label, str(value)))

    @asynccontextmanager
    async def at(self, cluster: Cluster) -> AsyncIterator["CaseContext"]:
        """The same case at a controller that was restarted, and may serve elsewhere."""
        async with Client.connect(cluster.address, cluster.token) as client:
            yield replace(self, client=client, cluster=cluster)

    def did(self, what: str, subject: str = "") -> None:
        """Notes a disturbance that the case has just made, for the timeline."""
        self.marks.append(Mark(datetime.now(UTC), self.case_name, what, subject))

    def random(self) -> random.Random:
        """Numbers that follow from the flow's seed and the case's name alone."""
        return random.Random(f"{self.seed} {self.case_name}")

    def job_id(self, suffix: str = "") -> JobId:
        """A name that no other case and no other run of the flow uses."""
        tail = re.sub(r"[^a-z0-9]+", "-", self.case_name.lower())
        return parse_job_id(f"/smoke/{self.prefix}-{tail}" + (f"-{suffix}" if suffix else ""))

    def program(self, name: str, *arguments: str, resources: Resources = SMALL) -> JobSpec:
        """A job that runs one of iris/smoke/programs out of the workspace bundle."""
        argv = (self.python, "-I", "-S", f"iris/smoke/programs/{name}", *arguments)
        return JobSpec(Entrypoint(argv), resources, bundle_digest=self.bundle_digest)

    def with_iris(self, spec: JobSpec) -> JobSpec:
        """The same job, whose program can import Iris: for tasks on this machine."""
        folders = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
        argv = spec.entrypoint.argv
        if argv[:3] == (self.python, "-I", "-S"):
            argv = (self.python, "-P", "-s", "-S", *argv[3:])
        return replace(
            spec,
            entrypoint=replace(spec.entrypoint, argv=argv),
            env=(*spec.env, ("PYTHONPATH", folders)),
        )

    async def launch(self, spec: JobSpec, *, suffix: str = "") -> JobId:
        """Submits a job and returns its id."""
        job_id = self.job_id(suffix)
        await self.client.launch(job_id, spec)
        return job_id

    async def succeeded(self, job_id: JobId) -> JobView:
        """Waits for a job's end; fails the case, with its last log lines kept, unless it succeeded."""
        job = await self.client.wait(job_id)
        if job.state is not JobState.SUCCEEDED:
            self.log_lines.extend((await self.logs(job.job_id))[-_KEPT_LINES:])
        check(
            job.state is JobState.SUCCEEDED,
            f"{job_id} to succeed",
            f"{job.state.value}: {job.error}",
        )
        return job

    @asynccontextmanager
    async def running(
        self, spec: JobSpec, *, suffix: str = "", until: str = "^ready"
    ) -> AsyncIterator[JobId]:
        """A job that runs inside of the block: it has written a line that matches, and is ended
        after the block unless it ended by itself."""
        job_id = await self.launch(spec, suffix=suffix)
        try:
            await self.first_line(job_id, until)
            yield job_id
        finally:
            await self.client.terminate(job_id, "smoke: no longer needed")

    async def run(self, spec: JobSpec, *, suffix: str = "") -> JobView:
        """Submits a job and waits for its end."""
        job_id = self.job_id(suffix)
        await self.client.launch(job_id, spec)
        return await self.client.wait(job_id)

    async def run_to_success(self, spec: JobSpec, *, suffix: str = "") -> JobView:
        """The same; fails the case, with the job's last log lines kept, unless it succeeded."""
        return await self.succeeded(await self.launch(spec, suffix=suffix))

    async def logs(self, job_or_task: str, *, stream: LogStream | None = None) -> list[str]:
        """All log lines there are, as text; of one stream if named."""
        async with aclosing(self.client.tail_logs(job_or_task)) as lines:
            return [line.text async for line in lines if stream in (None, line.stream)]

    async def first_line(self, job_or_task: str, pattern: str) -> str:
        """Follows the logs until a line matches. The case's deadline bounds the wait."""
        expression = re.compile(pattern)
        seen: list[str] = []
        async with aclosing(self.client.tail_logs(job_or_task, follow=True)) as lines:
            async for line in lines:
                seen.append(line.text)
                if expression.search(line.text):
                    return line.text
        self.log_lines.extend(seen)
        raise CheckFailed(
            f"expected a log line of {job_or_task} that matches {pattern!r}; found {seen[-5:]}"
        )

    async def until(self, condition: Callable[[], Any], *, every: float = 0.02) -> Any:
        """The first true value of `condition` (a coroutine function or a plain one). The case's
        deadline bounds the wait."""
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(every)


def with_replicas(spec: JobSpec, replicas: int) -> JobSpec:
    """The same job with that many tasks."""
    return replace(spec, replicas=replicas)


def lines_with(lines: Sequence[str], start: str) -> list[str]:
    """Those that begin so, without it."""
    return [line.removeprefix(start).strip() for line in lines if line.startswith(start)]
