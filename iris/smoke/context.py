"""What a case works with: a client, the bundle, names of its own, and a place for its evidence."""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from iris.client import Client, JobView, LogStream
from iris.host.ports import PortAllocator
from iris.model.ids import JobId, parse_job_id
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import MIB, Resources
from iris.model.states import JobState
from iris.smoke.case import CheckFailed, Evidence, check

SMALL = Resources(cpu_millis=50, memory_bytes=32 * MIB)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster under test, as the flow reached it.

    Attributes:
        offers: What cases may need and is known beforehand (see Case.needs).
        started_here: This flow started it on this machine, and has to leave nothing of it.
    """

    address: str
    token: str
    offers: frozenset[str]
    started_here: bool


@dataclass(slots=True)
class CaseContext:
    """One case's view of the flow. Evidence and log lines end up in the report."""

    client: Client
    cluster: Cluster
    bundle_digest: str
    python: str
    prefix: str
    case_name: str
    ports: PortAllocator
    evidence: list[Evidence] = field(default_factory=list)
    log_lines: list[str] = field(default_factory=list)

    def saw(self, label: str, value: object) -> None:
        """Records a fact that proves that work ran."""
        self.evidence.append(Evidence(label, str(value)))

    def job_id(self, suffix: str = "") -> JobId:
        """A name that no other case and no other run of the flow uses."""
        tail = re.sub(r"[^a-z0-9]+", "-", self.case_name.lower())
        return parse_job_id(f"/smoke/{self.prefix}-{tail}" + (f"-{suffix}" if suffix else ""))

    def program(self, name: str, *arguments: str, resources: Resources = SMALL) -> JobSpec:
        """A job that runs one of iris/smoke/programs out of the workspace bundle."""
        argv = (self.python, "-I", "-S", f"iris/smoke/programs/{name}", *arguments)
        return JobSpec(Entrypoint(argv), resources, bundle_digest=self.bundle_digest)

    async def run(self, spec: JobSpec, *, suffix: str = "") -> JobView:
        """Submits a job and waits for its end."""
        job_id = self.job_id(suffix)
        await self.client.launch(job_id, spec)
        return await self.client.wait(job_id)

    async def run_to_success(self, spec: JobSpec, *, suffix: str = "") -> JobView:
        """The same; fails the case, with the job's last log lines kept, unless it succeeded."""
        job = await self.run(spec, suffix=suffix)
        if job.state is not JobState.SUCCEEDED:
            self.log_lines.extend(await self.logs(job.job_id))
        check(
            job.state is JobState.SUCCEEDED,
            f"{job.job_id} to succeed",
            f"{job.state.value}: {job.error}",
        )
        return job

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

    async def until(self, condition: Callable[[], object], *, every: float = 0.02) -> object:
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
