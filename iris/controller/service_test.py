"""Submitting, asking, watching, terminating: over real gRPC, with workers that follow a script."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import controller_pb2, job_pb2

from iris.controller.controller_fixture import running
from iris.model.errors import (
    AlreadyExists,
    NotFound,
)
from iris.model.ids import JobId, SliceId
from iris.model.pending import PendingCode, PendingReason
from iris.model.resources import Resources
from iris.testing.eventually import assert_eventually

JOB = JobId("/alice/job")


async def test_a_worker_is_told_what_is_built_before_the_program(tmp_path: Path) -> None:
    environment = job_pb2.EnvironmentSpec(python="3.11", setup=["make data"])
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        answer = await cluster.launch(JOB, environment=environment)
        assert answer.job.spec.environment == environment
        assert worker.specs[await worker.given(f"{JOB}/0")].environment == environment


async def test_a_job_runs_and_its_end_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        answer = await cluster.launch(
            JOB, replicas=2, env={"A": "1"}, port_names=["http"], task_timeout=timedelta(minutes=1)
        )
        assert answer.created
        assert answer.job.state == job_pb2.JOB_PENDING
        first, second = await worker.given(f"{JOB}/0"), await worker.given(f"{JOB}/1")
        sent = worker.specs[second]
        assert (sent.job_id, sent.task_index, sent.num_tasks, sent.number) == (JOB, 1, 2, 0)
        assert (list(sent.entrypoint.argv), dict(sent.env)) == (["true"], {"A": "1"})
        assert list(sent.port_names) == ["http"]
        assert sent.stop_grace.ToSeconds() == 10, "the cluster's"
        assert sent.task_timeout.ToSeconds() == 60
        assert not sent.peer_hosts
        assert not sent.HasField("environment")
        await worker.run(first)
        await cluster.until(JOB, lambda job: job.state == job_pb2.JOB_RUNNING)
        usage = job_pb2.Usage(cpu_seconds=1.5, memory_bytes=10, peak_memory_bytes=20, processes=1)
        usage.disk_bytes = 30
        await worker.end(first, exit_code=0, usage=usage)
        await worker.end(second, exit_code=0)
        job = await cluster.ended(JOB)
        assert job.state == job_pb2.JOB_SUCCEEDED
        assert [(count.state, count.tasks) for count in job.counts] == [(job_pb2.TASK_SUCCEEDED, 2)]
        (attempt,) = job.tasks[0].attempts
        assert (attempt.attempt_uid, attempt.worker_id, attempt.exit_code) == (first, "w1", 0)
        assert attempt.usage == usage
        assert attempt.logs_complete
        assert job.HasField("finished_at")


async def test_a_failure_is_explained(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        await worker.end(await worker.given(f"{JOB}/0"), job_pb2.TASK_FAILED, exit_code=3)
        job = await cluster.ended(JOB)
        assert job.state == job_pb2.JOB_FAILED
        assert "exit code 3" in job.error
        assert "exit code 3" in job.tasks[0].error
        assert job.tasks[0].attempts[0].exit_code == 3


async def test_the_same_job_twice_is_one_job(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        first = await cluster.launch(JOB, env={"A": "1", "B": "2"})
        again = await cluster.launch(JOB, env={"B": "2", "A": "1"})
        assert (first.created, again.created) == (True, False)
        assert again.job.submitted_at == first.job.submitted_at
        cluster.planner.groups = ()
        assert not (await cluster.launch(JOB, env={"A": "1", "B": "2"})).created, (
            "whatever fits now"
        )
        with pytest.raises(AlreadyExists, match=JOB):
            await cluster.launch(JOB, env={"A": "2"})
        with pytest.raises(AlreadyExists):
            await cluster.launch(JOB, bundle_digest="sha256:" + "0" * 64)


async def test_many_at_once_under_one_name_are_one_job(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        answers = await asyncio.gather(*(cluster.launch(JOB) for _ in range(50)))
        assert sum(answer.created for answer in answers) == 1
        listed = await cluster.jobs.ListJobs(controller_pb2.ListJobsRequest())
        assert [job.job_id for job in listed.jobs] == [JOB]


async def test_why_a_task_waits_and_that_watchers_hear_of_it(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.launch(JOB, cpu_millis=8000)
        await cluster.until(JOB, lambda job: job.tasks[0].pending.code == job_pb2.NO_WORKERS)
        (demand,) = cluster.planner.view.demands
        assert (demand.job_id, demand.tasks) == (JOB, 1)
        await cluster.attached("w1")
        job = await cluster.until(
            JOB, lambda job: job.tasks[0].pending.code == job_pb2.INSUFFICIENT_RESOURCE
        )
        assert job.tasks[0].pending.subject == "cpu"
        launching = PendingReason(PendingCode.LAUNCHING_CAPACITY, "big")
        cluster.planner.set_outlook({JOB: launching})
        later = await cluster.until(
            JOB, lambda job: job.tasks[0].pending.code == job_pb2.LAUNCHING_CAPACITY
        )
        assert later.version > job.version


async def test_a_retry_waits_on_another_worker_and_says_so(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        workers = [await cluster.attached("w1"), await cluster.attached("w2")]
        await cluster.launch(JOB, max_retries_failure=1)
        await assert_eventually(lambda: any(worker.specs for worker in workers), "placed")
        failed, other = workers if workers[0].specs else reversed(workers)
        await failed.end(await failed.given(f"{JOB}/0"), job_pb2.TASK_FAILED, exit_code=1)
        job = await cluster.get(JOB)
        assert job.tasks[0].pending.code == job_pb2.RETRY_DELAY
        assert "exit code 1" in job.tasks[0].pending.hint
        assert job.tasks[0].failures == 1
        await cluster.clock.advance(2)
        await other.end(await other.given(f"{JOB}/0", 1))
        job = await cluster.ended(JOB)
        assert [attempt.number for attempt in job.tasks[0].attempts] == [0, 1]
        assert job.state == job_pb2.JOB_SUCCEEDED


async def test_of_a_job_that_failed_the_tasks_it_failed_of_are_described(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1", total=Resources(10**6, 1 << 50))
        await cluster.launch(JOB, replicas=50)
        uids = [await worker.given(f"{JOB}/{index}") for index in range(50)]
        request = controller_pb2.GetJobRequest(job_id=JOB, max_tasks=3)
        job = await cluster.jobs.GetJob(request)
        assert [task.index for task in job.tasks] == [0, 1, 2]
        await worker.end(uids[40], job_pb2.TASK_FAILED, exit_code=1)
        for index, uid in enumerate(uids):
            if index != 40:
                await worker.end(uid, job_pb2.TASK_KILLED)
        job = await cluster.jobs.GetJob(request)
        assert [task.index for task in job.tasks] == [0, 1, 40]
        assert sum(count.tasks for count in job.counts) == 50


async def test_a_refused_drain_is_followed_by_a_view(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        await worker.given(f"{JOB}/0")
        await assert_eventually(lambda: cluster.planner.view.slices, "a view")
        views = len(cluster.planner.views)
        assert cluster.planner.fleet is not None
        assert not await cluster.planner.fleet.drain_slice(SliceId("slice-1"))
        await assert_eventually(lambda: len(cluster.planner.views) > views, "another view")
        assert cluster.planner.view.slices[SliceId("slice-1")].attempts == 1


async def test_demand_is_what_was_left_over(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.attached("w1")
        await cluster.launch(JOB, replicas=10)
        await assert_eventually(lambda: cluster.planner.view.demands, "demand")
        (demand,) = cluster.planner.view.demands
        assert demand.tasks == 6, "four fit on the worker"
        assert cluster.planner.view.slices[SliceId("slice-1")].attempts == 4
        assert cluster.planner.view.slices[SliceId("slice-1")].idle_since is None
        await cluster.launch("/alice/gang", replicas=3, gang=True, cpu_millis=4000)
        await assert_eventually(lambda: len(cluster.planner.view.demands) == 2, "both")
        assert cluster.planner.view.demands[1].tasks == 3


async def test_watching_ends_with_the_job_and_begins_with_now(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        stream = cluster.watch(JOB)
        versions = [(await stream.read()).version]
        await worker.end(await worker.given(f"{JOB}/0"))
        async for status in stream:
            versions.append(status.version)
        assert versions == sorted(set(versions))
        assert status.state == job_pb2.JOB_SUCCEEDED
        (only,) = [status async for status in cluster.watch(JOB)]
        assert only == status


async def test_a_slow_watcher_skips_versions_but_not_the_last(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1", total=Resources(10**9, 1 << 60))
        await cluster.launch(JOB, replicas=200, env={"PADDING": "x" * 100_000})
        stream = cluster.watch(JOB)
        await stream.read()
        for index in range(200):
            await worker.end(await worker.given(f"{JOB}/{index}"))
        seen = [status.version async for status in stream]
        assert len(seen) < 200, "each change was sent to a watcher that did not read"
        assert seen == sorted(seen)
        assert (await cluster.get(JOB)).version == seen[-1]


async def test_things_that_are_not_there(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(NotFound, match="/alice/none"):
            await cluster.get("/alice/none")
        with pytest.raises(NotFound):
            await cluster.terminate("/alice/none")
        with pytest.raises(NotFound):
            await cluster.until("/alice/none", lambda _: True)
        with pytest.raises(NotFound):
            await cluster.logs("/alice/none")


async def test_jobs_are_listed_newest_first_page_by_page(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        for number in range(7):
            await cluster.launch(f"/alice/job{number}")
        await cluster.launch("/bob/job")
        await cluster.terminate("/alice/job3")

        async def pages(**details: object) -> list[list[str]]:
            found, before = [], 0
            while True:
                request = controller_pb2.ListJobsRequest(before=before, **details)
                page = await cluster.jobs.ListJobs(request)
                found.append([job.job_id.rpartition("/")[2] for job in page.jobs])
                before = page.next
                if not before:
                    return found

        assert await pages(limit=3, prefix="/alice/") == [
            ["job6", "job5", "job4"],
            ["job3", "job2", "job1"],
            ["job0"],
        ]
        assert await pages(limit=8) == [
            ["job", "job6", "job5", "job4", "job3", "job2", "job1", "job0"]
        ]
        assert await pages(prefix="/alice/", active_only=True, limit=6) == [
            ["job6", "job5", "job4", "job2", "job1", "job0"]
        ]


async def test_termination_with_a_worker_that_takes_its_time(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB, replicas=5)
        uids = [await worker.given(f"{JOB}/{index}") for index in range(4)]
        await worker.run(uids[0])
        status = await cluster.terminate(JOB, "enough")
        assert status.error == "Terminated: enough"
        assert status.tasks[4].state == job_pb2.TASK_KILLED, "it was waiting"
        assert status.tasks[4].error == "Terminated: enough"
        await worker.until(lambda: worker.stops == set(uids))
        # The worker has not said that they are over, so nothing fits in their places yet.
        await cluster.launch("/alice/next", cpu_millis=4000)
        await cluster.until(
            "/alice/next", lambda job: job.tasks[0].pending.code == job_pb2.WAITS_FOR_STOP
        )
        assert (await cluster.get(JOB)).state == job_pb2.JOB_RUNNING
        for uid in uids:
            await worker.end(uid, job_pb2.TASK_KILLED, signal=9)
        assert (await cluster.ended(JOB)).state == job_pb2.JOB_KILLED
        await worker.given("/alice/next/0")
        assert (await cluster.terminate(JOB)).state == job_pb2.JOB_KILLED, "again changes nothing"


async def test_a_gang_is_told_its_hosts_and_restarts_as_one(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        workers = [await cluster.attached(f"w{i}", host=f"10.0.0.{i}") for i in range(3)]
        await cluster.launch(JOB, replicas=3, gang=True, cpu_millis=4000, max_retries_failure=1)
        await assert_eventually(lambda: all(worker.specs for worker in workers), "all placed")
        by_index = {}
        for worker in workers:
            ((uid, sent),) = worker.specs.items()
            by_index[sent.task_index] = (worker, uid)
        hosts = [by_index[index][0]._hello.host for index in range(3)]
        for worker, uid in by_index.values():
            assert list(worker.specs[uid].peer_hosts) == hosts
            await worker.run(uid)
        failing, failed = by_index[1]
        await failing.end(failed, job_pb2.TASK_FAILED, exit_code=9)
        for index in (0, 2):
            worker, uid = by_index[index]
            await worker.until(lambda worker=worker, uid=uid: uid in worker.stops)
            await worker.end(uid, job_pb2.TASK_KILLED, signal=15)
        job = await cluster.get(JOB)
        assert [task.state for task in job.tasks] == [job_pb2.TASK_PENDING] * 3
        assert "exit code 9" in job.tasks[0].attempts[0].error
        await cluster.clock.advance(2)
        for index in range(3):
            await assert_eventually(
                lambda index=index: any(
                    (sent.task_index, sent.number) == (index, 1)
                    for worker in workers
                    for sent in worker.specs.values()
                ),
                f"the second attempt of {index}",
            )


async def test_cluster_status(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB, replicas=5)
        await worker.run(await worker.given(f"{JOB}/0"))
        await cluster.until(JOB, lambda job: job.state == job_pb2.JOB_RUNNING)
        await cluster.clock.advance(3)
        status = await cluster.jobs.GetClusterStatus(controller_pb2.GetClusterStatusRequest())
        assert (status.cluster, status.version) == ("test", "0.0-test")
        assert (status.jobs_active, status.tasks_pending, status.tasks_running) == (1, 1, 1)
        (seen,) = status.workers
        assert (seen.worker_id, seen.connected, seen.attempts) == ("w1", True, 4)
        assert seen.free.cpu_millis == 0
        assert (
            cluster.clock.now() - seen.last_seen.ToDatetime(cluster.clock.now().tzinfo)
        ).seconds == 3
        assert not status.HasField("machine")
