"""Submitting, asking, watching, terminating: over real gRPC, with workers that follow a script."""

import asyncio
from pathlib import Path

import grpc.aio
import pytest
from iris_proto import controller_pb2, job_pb2, worker_pb2

from iris.controller.controller_fixture import TOKEN, running
from iris.controller.options import UnschedulablePolicy
from iris.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    IrisError,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from iris.model.pending import PendingCode, PendingReason
from iris.model.resources import Resources
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors
from iris.testing.eventually import assert_eventually

JOB = "/alice/job"


async def test_a_job_runs_and_its_end_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        answer = await cluster.launch(JOB, replicas=2, env={"A": "1"}, port_names=["http"])
        assert answer.created
        assert answer.job.state == job_pb2.JOB_PENDING
        first, second = await worker.given(f"{JOB}/0"), await worker.given(f"{JOB}/1")
        sent = worker.specs[second]
        assert (sent.job_id, sent.task_index, sent.num_tasks, sent.number) == (JOB, 1, 2, 0)
        assert (list(sent.entrypoint.argv), dict(sent.env)) == (["true"], {"A": "1"})
        assert list(sent.port_names) == ["http"]
        assert sent.stop_grace.ToSeconds() == 10, "the cluster's"
        assert not sent.peer_hosts
        await worker.run(first)
        await cluster.until(JOB, lambda job: job.state == job_pb2.JOB_RUNNING)
        usage = job_pb2.Usage(cpu_seconds=1.5, memory_bytes=10, peak_memory_bytes=20, processes=1)
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


@pytest.mark.parametrize(
    ("job_id", "details", "kind", "says"),
    [
        ("alice", {}, InvalidArgument, "'alice' is not a job id"),
        ("/alice/1", {}, InvalidArgument, "is not a job id"),
        (JOB, {"replicas": 0}, InvalidArgument, "replicas is 0"),
        (JOB, {"replicas": 1001}, InvalidArgument, "1,001 replicas; at most 1,000"),
        (JOB, {"env": {"A": "x" * (1 << 20)}}, InvalidArgument, "at most 1 MiB"),
        (JOB, {"env": {"IRIS_X": ""}}, InvalidArgument, "IRIS_X"),
        (JOB, {"cpu_millis": -1}, InvalidArgument, "-1 of cpu"),
        (
            JOB,
            {"bundle_digest": "sha256:" + "0" * 64},
            FailedPrecondition,
            "has no bundle sha256:000.*Upload it first",
        ),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_the_reason(
    tmp_path: Path, job_id: str, details: dict[str, object], kind: type[IrisError], says: str
) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(kind, match=says):
            await cluster.launch(job_id, **details)
        listed = await cluster.jobs.ListJobs(controller_pb2.ListJobsRequest())
        assert not listed.jobs


MISFIT = PendingReason(
    PendingCode.NO_GROUP_FITS, "memory", needed="64 GiB memory", nearest="2 GiB memory in cpu"
)


async def test_what_no_group_could_run_is_refused_with_the_limiting_resource(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as cluster:
        cluster.planner.groups, cluster.planner.misfit = (), MISFIT
        with pytest.raises(FailedPrecondition, match=r"memory.*64 GiB.*2 GiB memory in cpu"):
            await cluster.launch(JOB, replicas=3, gang=True)
        (demand,) = cluster.planner.demands
        assert (demand.job_id, demand.tasks, demand.gang is None) == (JOB, 3, False)


async def test_what_no_group_could_run_waits_explained_if_the_cluster_says_so(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, unschedulable=UnschedulablePolicy.ACCEPT) as cluster:
        cluster.planner.groups, cluster.planner.misfit = (), MISFIT
        await cluster.launch(JOB)
        cluster.planner.set_outlook({JOB: MISFIT})
        job = await cluster.until(
            JOB, lambda job: job.tasks[0].pending.code == job_pb2.NO_GROUP_FITS
        )
        assert job.tasks[0].pending.subject == "memory"
        assert job.tasks[0].pending.summary == MISFIT.summary()


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


async def test_demand_is_what_was_left_over(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.attached("w1")
        await cluster.launch(JOB, replicas=10)
        await assert_eventually(lambda: cluster.planner.view.demands, "demand")
        (demand,) = cluster.planner.view.demands
        assert demand.tasks == 6, "four fit on the worker"
        assert cluster.planner.view.slices["slice-1"].attempts == 4
        assert cluster.planner.view.slices["slice-1"].idle_since is None
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
            await cluster.until("/alice/none", lambda job: True)
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
        # The worker has not said that they are over, so nothing fits in their places.
        await cluster.launch("/alice/next", cpu_millis=4000)
        await cluster.until(
            "/alice/next", lambda job: job.tasks[0].pending.code == job_pb2.INSUFFICIENT_RESOURCE
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


async def test_health_needs_no_token(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        async with open_channel(cluster.address, "") as channel:
            stub = type(cluster.jobs)(channel)
            answer = await stub.Health(controller_pb2.HealthRequest())
        assert answer.healthy
        assert (answer.cluster, answer.version) == ("test", "0.0-test")
        assert answer.incarnation_id


async def test_every_other_call_of_every_service_needs_the_token(tmp_path: Path) -> None:
    methods = [
        (service, method)
        for proto in (controller_pb2, worker_pb2)
        for service in proto.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]
    assert len(methods) == 12
    async with running(tmp_path) as cluster:
        for token in ("", TOKEN[:-1], TOKEN + "x"):
            async with open_channel(cluster.address, token) as channel:
                for service, method in methods:
                    if method.name == "Health":
                        continue
                    with pytest.raises(Unauthenticated), rpc_errors(method.full_name):
                        await _call(channel, f"/{service.full_name}/{method.name}", method)


async def _call(channel: grpc.aio.Channel, path: str, method: object) -> None:
    kind = ("stream" if method.client_streaming else "unary") + (
        "_stream" if method.server_streaming else "_unary"
    )
    multi = getattr(channel, kind)(path)
    call = multi(iter([b""])) if method.client_streaming else multi(b"")
    if method.server_streaming:
        await call.read()
    else:
        await call


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
