"""Workers that say that they are not well, and workers that a user drains, over real streams."""

from pathlib import Path

import pytest
from iris_proto import cluster_pb2, controller_pb2, job_pb2

from iris.controller.controller_fixture import Cluster, running
from iris.model.errors import NotFound
from iris.model.ids import SliceId
from iris.rpc.errors import rpc_errors
from iris.testing.clock import FakeClock
from iris.testing.fake_planner import FakePlanner
from iris.testing.ids import CountedIds

JOB, NEXT = "/alice/job", "/alice/next"
DISK = cluster_pb2.HealthProblem(check="disk", text="120 MiB free, needs 1 GiB")


async def drain(cluster: Cluster, worker: str, *, drain: bool) -> cluster_pb2.WorkerStatus:
    request = controller_pb2.DrainWorkerRequest(worker_id=worker, drain=drain)
    with rpc_errors("DrainWorker"):
        return await cluster.jobs.DrainWorker(request)


async def waits_for_workers(cluster: Cluster, job_id: str) -> job_pb2.PendingReason:
    def is_so(job: job_pb2.JobStatus) -> bool:
        return job.tasks[0].pending.code == job_pb2.WORKERS_UNAVAILABLE

    return (await cluster.until(job_id, is_so)).tasks[0].pending


async def test_a_worker_that_is_not_well_gets_no_work_until_it_is(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(f"{JOB}/0")
        await worker.run(uid)
        await worker.health(DISK)
        await cluster.launch(NEXT)
        reason = await waits_for_workers(cluster, NEXT)
        assert (reason.subject, reason.nearest) == (
            "unhealthy",
            "w1 (disk: 120 MiB free, needs 1 GiB)",
        )
        (shown,) = (await cluster.status()).workers
        assert list(shown.problems) == [DISK]
        assert cluster.planner.view.slices[SliceId("slice-1")].closed == 1
        assert worker.stops == set(), "what it has goes on"
        await worker.end(uid)
        assert (await cluster.ended(JOB)).state == job_pb2.JOB_SUCCEEDED
        await worker.health()
        await worker.given(f"{NEXT}/0")
        assert not (await cluster.status()).workers[0].problems


async def test_what_its_hello_says_counts(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.attached("w1", problems=[DISK])
        await cluster.launch(JOB)
        assert (await waits_for_workers(cluster, JOB)).subject == "unhealthy"


async def test_the_welcome_tells_the_controllers_time(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.clock.advance(3.0)
        worker = await cluster.attached("w1")
        assert worker.welcome is not None
        assert worker.welcome.now.ToJsonString() == "2026-01-01T00:00:03Z"
        assert worker.welcome.heartbeat_interval.seconds == 5


async def test_a_drained_worker_gets_no_work_until_that_is_taken_back(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(f"{JOB}/0")
        drained = await drain(cluster, "w1", drain=True)
        assert (drained.worker_id, drained.draining, drained.attempts) == ("w1", True, 1)
        await cluster.launch(NEXT)
        assert (await waits_for_workers(cluster, NEXT)).subject == "draining"
        assert (await cluster.status()).workers[0].draining
        assert worker.stops == set()
        await worker.end(uid)
        assert not (await drain(cluster, "w1", drain=False)).draining
        await worker.given(f"{NEXT}/0")


async def test_it_stays_drained_over_a_restart(tmp_path: Path) -> None:
    clock, ids = FakeClock(), CountedIds()
    async with running(tmp_path, clock=clock, ids=ids) as cluster:
        await cluster.attached("w1")
        await drain(cluster, "w1", drain=True)
    planner = FakePlanner()
    planner.find("slice-1")
    async with running(tmp_path, planner=planner, clock=clock, ids=ids) as cluster:
        assert (await cluster.status()).workers[0].draining
        await cluster.attached("w1", incarnation="two")
        await cluster.launch(JOB)
        assert (await waits_for_workers(cluster, JOB)).subject == "draining"


async def test_a_worker_that_does_not_exist_cannot_be_drained(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(NotFound, match="There is no worker w9"):
            await drain(cluster, "w9", drain=True)
