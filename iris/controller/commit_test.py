"""Nobody is told anything that a crash could still undo."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from iris_proto import controller_pb2, job_pb2

from iris.controller.controller_fixture import Cluster, running
from iris.controller.state.events import AttemptObserved, Event, JobSubmitted
from iris.controller.store import Changes, Store
from iris.model.errors import AlreadyExists, NotFound, Unavailable
from iris.model.states import TaskState
from iris.testing.eventually import assert_eventually

JOB = "/alice/job"


class Gate:
    """Stands before the store's commits, or makes them fail, from when it is closed."""

    def __init__(self, cluster: Cluster) -> None:
        store = cluster.controller._store
        assert isinstance(store, Store)
        self._commit = store.commit
        store.commit = self._pass  # type: ignore[method-assign]
        self.open = asyncio.Event()
        self.open.set()
        self.waiting: list[Event] = []
        self.soon: list[Event] = []
        self.error: Exception | None = None

    async def _pass(self, events: Sequence[Event], changes: Changes, *, soon: bool) -> None:
        self.waiting = list(events)
        self.soon += events if soon else ()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        await self._commit(events, changes, soon=soon)
        self.waiting = []


async def test_nothing_leaves_before_the_commit(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        gate = Gate(cluster)
        gate.open.clear()
        views = len(cluster.planner.views)
        launch = asyncio.create_task(cluster.launch(JOB))
        await assert_eventually(lambda: gate.waiting, "the commit")
        assert isinstance(gate.waiting[0], JobSubmitted)
        asking = [
            asyncio.create_task(call)
            for call in (
                cluster.get(JOB),
                cluster.status(),
                cluster.launch(JOB, env={"A": "another"}),
                cluster.until(JOB, lambda _: True),
                cluster.logs(JOB),
            )
        ]
        for _ in range(3):  # a call that needs no state still goes through, so the others could
            assert (await cluster.jobs.Health(controller_pb2.HealthRequest())).healthy
        assert not launch.done()
        assert not any(task.done() for task in asking)
        assert not worker.specs
        assert len(cluster.planner.views) == views
        gate.open.set()
        assert (await launch).created
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert [isinstance(outcome, Exception) for outcome in outcomes] == [
            False, False, True, False, False,
        ]  # fmt: skip
        assert isinstance(outcomes[2], AlreadyExists)
        await worker.given(f"{JOB}/0")


async def test_a_refusal_that_rests_on_what_is_not_committed_waits_too(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        gate = Gate(cluster)
        gate.open.clear()
        first = asyncio.create_task(cluster.launch("/alice/first"))
        await assert_eventually(lambda: gate.waiting, "a turn")
        loop = cluster.controller._running
        both = [
            asyncio.create_task(cluster.launch(JOB)),
            asyncio.create_task(cluster.launch(JOB, env={"A": "another"})),
        ]
        for task in both:
            assert not task.done()
        gate.open.set()
        await first
        outcomes = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == [
            "AlreadyExists",
            "LaunchJobResponse",
        ]
        assert not loop.problem


async def test_what_could_not_be_committed_was_never_said(tmp_path: Path) -> None:
    cluster_of = running(tmp_path)
    cluster = await cluster_of.__aenter__()
    worker = await cluster.attached("w1")
    await cluster.launch("/alice/before")
    await worker.end(await worker.given("/alice/before/0"))
    stream = cluster.watch("/alice/before")
    assert (await stream.read()).state == job_pb2.JOB_SUCCEEDED
    gate = Gate(cluster)
    gate.error = Unavailable("the disk is full")
    with pytest.raises(Unavailable, match="has failed"):
        await cluster.launch(JOB)
    assert await cluster.controller.wait_failed() is gate.error
    for call in (cluster.get(JOB), cluster.status(), cluster.launch(JOB), cluster.terminate(JOB)):
        with pytest.raises(Unavailable, match="failed"):
            await call
    assert f"{JOB}/0" not in {spec.task_id for spec in worker.specs.values()}
    with pytest.raises(AssertionError, match="disk is full"):
        await cluster_of.__aexit__(None, None, None)
    async with running(tmp_path) as cluster:
        assert (await cluster.get("/alice/before")).state == job_pb2.JOB_SUCCEEDED
        with pytest.raises(NotFound):
            await cluster.get(JOB)


async def test_only_what_nobody_acts_on_need_not_be_on_the_disk_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        gate = Gate(cluster)
        await cluster.launch(JOB)
        uid = await worker.given(f"{JOB}/0")
        await worker.run(uid)
        await assert_eventually(lambda: gate.soon, "its running")
        await worker.end(uid)
        stream = cluster.watch(JOB)
        while (await stream.read()).state != job_pb2.JOB_SUCCEEDED:
            continue
        (event,) = gate.soon
        assert isinstance(event, AttemptObserved)
        assert event.observation.state is TaskState.RUNNING
