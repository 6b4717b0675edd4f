"""What happened on the cluster while the flow ran, for the report's timeline: slices, workers, attempts, controllers.

Slices and workers are looked at a few times a second, for a cluster tells only of those it has; attempts are asked for
once, at the end. All of it is for people: what could not be seen is left out, and no case depends on it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from iris.client import Client, ClusterView, JobView
from iris.model.errors import IrisError
from iris.smoke.case import Mark
from iris.smoke.context import Cluster

_LOOK_SECONDS = 0.2
# Of one job so many attempts are shown by themselves; of a larger one each worker's as one.
_MAX_ATTEMPTS = 24
_MAX_JOBS = 300
_COLLECT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Span:
    """Something that was there from one time of day to another.

    Attributes:
        kind: "controller", "slice", "worker" or "attempt".
        owner: What it belongs to: a worker's slice, a slice's scale group, an attempt's worker.
        state: The last that is known of it.
        count: How many attempts it stands for.
    """

    kind: str
    name: str
    owner: str
    began: datetime
    ended: datetime
    state: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class History:
    """All of it, in the order in which it began."""

    spans: tuple[Span, ...] = ()
    marks: tuple[Mark, ...] = ()


class HistoryRecorder:
    """Looks until it is stopped. For one event loop.

    Args:
        found: Tells how the cluster can be reached now. Blocks.
    """

    def __init__(self, found: Callable[[], Cluster], prefix: str) -> None:
        self._found = found
        self._prefix = prefix
        self._spans: dict[tuple[str, str], Span] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._look_on(), name="smoke history")

    async def stop(self) -> None:
        """Asks for the attempts, within a few seconds, and ends. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with suppress(IrisError, TimeoutError):
            async with asyncio.timeout(_COLLECT_SECONDS):
                await self._collect()

    def history(self, marks: tuple[Mark, ...]) -> History:
        """What was seen."""
        spans = sorted(self._spans.values(), key=lambda span: (span.began, span.name))
        return History(tuple(spans), tuple(sorted(marks, key=lambda mark: mark.at)))

    async def _look_on(self) -> None:
        while True:
            with suppress(IrisError, TimeoutError):
                cluster = await asyncio.to_thread(self._found)
                async with Client.connect(cluster.address, cluster.token) as client:
                    await self._look(client)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self, client: Client) -> None:
        """Until this controller does not answer any more."""
        while True:
            async with asyncio.timeout(1):
                self._note(await client.cluster_status())
            await asyncio.sleep(_LOOK_SECONDS)

    def _note(self, status: ClusterView) -> None:
        now = datetime.now(UTC)
        if status.started_at is not None:
            self._seen("controller", status.started_at.isoformat(), "", status.started_at, now, "")
        for group in status.groups:
            for one in group.slices:
                self._seen("slice", one.slice_id, group.name, one.created_at, now, one.state.value)
        for worker in status.workers:
            self._seen("worker", worker.worker_id, worker.slice_id, now, now, worker.state)

    def _seen(
        self, kind: str, name: str, owner: str, began: datetime, now: datetime, state: str
    ) -> None:
        key = (kind, name)
        before = self._spans.get(key)
        if before is None:
            self._spans[key] = Span(kind, name, owner, began, now, state)
        else:
            self._spans[key] = replace(before, ended=now, state=state)

    async def _collect(self) -> None:
        cluster = await asyncio.to_thread(self._found)
        async with Client.connect(cluster.address, cluster.token) as client:
            jobs = await client.list_jobs(f"/smoke/{self._prefix}-", limit=_MAX_JOBS)
            for job in jobs:
                for span in attempt_spans(await client.get(job.job_id), self._prefix):
                    self._spans[(span.kind, f"{span.name} {span.owner}")] = span


def attempt_spans(job: JobView, prefix: str) -> list[Span]:
    """A job's attempts; of one with many, each worker's as one span."""
    now = datetime.now(UTC)
    spans = [
        Span(
            "attempt",
            f"{task.task_id.removeprefix(f'/smoke/{prefix}-')} #{attempt.number}",
            attempt.worker_id,
            attempt.started_at or attempt.assigned_at or now,
            attempt.finished_at or now,
            attempt.state.value,
        )
        for task in job.tasks
        for attempt in task.attempts
        if attempt.assigned_at is not None
    ]
    if len(spans) <= _MAX_ATTEMPTS:
        return spans
    name = job.job_id.removeprefix(f"/smoke/{prefix}-")
    merged: dict[str, Span] = {}
    for span in spans:
        before = merged.get(span.owner)
        merged[span.owner] = (
            replace(span, name=name)
            if before is None
            else replace(
                before,
                began=min(before.began, span.began),
                ended=max(before.ended, span.ended),
                state=before.state if before.state == span.state else "mixed",
                count=before.count + 1,
            )
        )
    return list(merged.values())
