"""How a controller ends, in good order or not, and what those who are connected hear of it."""

import asyncio
from pathlib import Path

import grpc.aio
import pytest
from iris_proto import controller_pb2

from iris.controller.controller_fixture import running
from iris.model.errors import Unavailable
from iris.testing.eventually import assert_eventually

JOB = "/alice/job"


async def test_watchers_are_told_that_the_controller_stops(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.launch(JOB)
        stream = cluster.watch(JOB)
        await stream.read()
        follower = asyncio.create_task(cluster.logs(JOB, follow=True))
        reading = asyncio.create_task(cluster.ended(JOB))
        await assert_eventually(lambda: len(cluster.controller._hub) == 3, "all watch")
        await cluster.controller.stop()
        with pytest.raises(Unavailable, match="stopping"):
            await follower
        with pytest.raises(grpc.aio.AioRpcError):
            await reading


async def test_an_exception_in_the_loop_ends_it_loudly(tmp_path: Path) -> None:
    cluster_of = running(tmp_path)
    cluster = await cluster_of.__aenter__()
    worker = await cluster.attached("w1")

    def breaks(view: object) -> None:
        raise ZeroDivisionError("a bug")

    cluster.planner.observe = breaks
    await cluster.launch(JOB)
    error = await asyncio.wait_for(cluster.controller.wait_failed(), 30)
    assert isinstance(error, ZeroDivisionError)
    health = await cluster.jobs.Health(controller_pb2.HealthRequest())
    assert not health.healthy
    assert "a bug" in health.problem
    with pytest.raises(Unavailable, match="failed"):
        await cluster.launch("/alice/other")
    await worker.until(lambda: worker.error is not None)
    with pytest.raises(AssertionError, match="a bug"):
        await cluster_of.__aexit__(None, None, None)


async def test_an_autoscaler_that_fails_ends_the_controller_too(tmp_path: Path) -> None:
    cluster_of = running(tmp_path)
    cluster = await cluster_of.__aenter__()
    error = RuntimeError("the autoscaler's work ended")
    cluster.planner.fail(error)
    assert await asyncio.wait_for(cluster.controller.wait_failed(), 30) is error
    assert (await cluster.launch(JOB)).created, "the controller itself is well until it is stopped"
    with pytest.raises(AssertionError, match="the autoscaler's work"):
        await cluster_of.__aexit__(None, None, None)


async def test_stop_finishes_what_has_arrived(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        launches = [asyncio.create_task(cluster.launch(f"{JOB}{n}")) for n in range(20)]
        await launches[0]
        await cluster.controller.stop()
        outcomes = await asyncio.gather(*launches, return_exceptions=True)
    created = [
        f"{JOB}{n}" for n, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)
    ]
    async with running(tmp_path) as cluster:
        listed = await cluster.jobs.ListJobs(controller_pb2.ListJobsRequest())
        assert set(created) <= {job.job_id for job in listed.jobs}, "what was acknowledged is there"


async def test_stopping_twice_and_without_a_start_is_fine(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.controller.stop()
        await cluster.controller.stop()
