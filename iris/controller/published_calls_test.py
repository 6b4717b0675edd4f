"""What a task may do with its own token, and what becomes of what it makes known."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from iris_proto import controller_pb2, controller_pb2_grpc, job_pb2

from iris.bundle import pack_directory
from iris.controller.controller_fixture import TOKEN, Cluster, running, spec
from iris.model.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from iris.model.ids import AttemptUid
from iris.model.published import MAX_ENDPOINTS
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors
from iris.rpc.scopes import task_token
from iris.testing.fake_planner import FakePlanner

JOB, OTHER = "/ann/train", "/ann/trainer"


class Caller:
    """Calls with one token."""

    def __init__(self, channel: Any) -> None:
        self.jobs = controller_pb2_grpc.ControllerServiceStub(channel)
        self.bundles = controller_pb2_grpc.BundleServiceStub(channel)

    async def __call__(self, method: str, **request: Any) -> Any:
        """Any unary call; raises IrisError."""
        with rpc_errors(method):
            return await getattr(self.jobs, method)(
                getattr(controller_pb2, f"{method}Request")(**request)
            )

    async def register(self, uid: str, name: str = "http", address: str = "w:80") -> Any:
        return await self("RegisterEndpoint", attempt_uid=uid, name=name, address=address)

    async def names(self, prefix: str = "") -> list[tuple[str, str, str]]:
        answer = await self("ListEndpoints", prefix=prefix)
        return [(one.name, one.task_id, one.address) for one in answer.endpoints]

    async def upload(self, folder: Path) -> str:
        archive = folder.with_suffix(".bundle")
        with archive.open("wb") as out:
            digest = pack_directory(folder, out).digest

        async def requests() -> AsyncIterator[controller_pb2.UploadBundleRequest]:
            yield controller_pb2.UploadBundleRequest(digest=digest)
            yield controller_pb2.UploadBundleRequest(chunk=archive.read_bytes())

        with rpc_errors("UploadBundle"):
            await self.bundles.UploadBundle(requests())
        return digest


@asynccontextmanager
async def caller(cluster: Cluster, token: str = TOKEN) -> AsyncIterator[Caller]:
    async with open_channel(cluster.address, token) as channel:
        yield Caller(channel)


@asynccontextmanager
async def a_task(cluster: Cluster) -> AsyncIterator[tuple[Caller, Any, str]]:
    """A task of JOB that runs, its worker and its attempt."""
    worker = await cluster.attached("w")
    await cluster.launch(JOB)
    uid = await worker.given(f"{JOB}/0")
    await worker.run(uid)
    await cluster.until(JOB, lambda job: job.state == job_pb2.JOB_RUNNING)
    async with caller(cluster, worker.specs[uid].task_token) as task:
        yield task, worker, uid


async def test_its_own_token_is_not_the_clusters(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster, a_task(cluster) as (_, worker, uid):
        token = worker.specs[uid].task_token
        assert token == task_token(TOKEN, AttemptUid(uid))
        assert TOKEN not in token


async def test_it_may_run_jobs_below_its_own_and_look_at_its_own(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster, a_task(cluster) as (task, _, _):
        await task("LaunchJob", job_id=f"{JOB}/eval", spec=spec())
        for job_id in (JOB, f"{JOB}/eval"):
            assert (await task("GetJob", job_id=job_id)).job_id == job_id
            assert (await task("ExplainJob", job_id=job_id)).job_id == job_id
            watch = task.jobs.WatchJob(controller_pb2.WatchJobRequest(job_id=job_id))
            assert (await watch.read()).job_id == job_id
            watch.cancel()
            logs = task.jobs.TailLogs(controller_pb2.TailLogsRequest(id=f"{job_id}/0"))
            assert [part async for part in logs] == []
        ended = await task("TerminateJob", job_id=f"{JOB}/eval")
        assert ended.error


@pytest.mark.parametrize("job_id", [OTHER, "/ann/other", "/bob/train/eval", f"{JOB}er/x"])
async def test_it_may_not_touch_other_jobs(tmp_path: Path, job_id: str) -> None:
    async with running(tmp_path) as cluster, a_task(cluster) as (task, _, _):
        await cluster.launch(OTHER)
        says = f"task of {JOB} may not .*{job_id}.*jobs below {JOB}/"
        for method in ("GetJob", "ExplainJob", "TerminateJob"):
            with pytest.raises(PermissionDenied, match=says):
                await task(method, job_id=job_id)
        with pytest.raises(PermissionDenied, match=says):
            await task("LaunchJob", job_id=job_id, spec=spec())
        with pytest.raises(PermissionDenied, match=says):
            await task("GetOutput", task_id=f"{job_id}/0", name="model")
        for stream in (
            task.jobs.WatchJob(controller_pb2.WatchJobRequest(job_id=job_id)),
            task.jobs.TailLogs(controller_pb2.TailLogsRequest(id=job_id)),
        ):
            with pytest.raises(PermissionDenied, match=says), rpc_errors("stream"):
                await stream.read()


async def test_it_may_not_change_its_own_job_nor_ask_for_anything_else(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster, a_task(cluster) as (task, _, _):
        for method, request in (
            ("TerminateJob", {"job_id": JOB}),
            ("LaunchJob", {"job_id": JOB, "spec": spec()}),
            ("ListJobs", {}),
            ("GetClusterStatus", {}),
            ("DrainWorker", {"worker_id": "w"}),
            ("BackUp", {}),
        ):
            with pytest.raises(PermissionDenied, match=f"task of {JOB} may not"):
                await task(method, **request)
        assert (await cluster.get(JOB)).state == job_pb2.JOB_RUNNING


async def test_its_token_is_good_while_it_runs(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster, a_task(cluster) as (task, worker, uid):
        token = worker.specs[uid].task_token
        for wrong in (
            token[:-1],
            token + "0",
            f"task.{uid}.",
            "task..",
            f"task.{uid}x{token[-65:]}",
        ):
            async with caller(cluster, wrong) as stranger:
                with pytest.raises(Unauthenticated, match="not this cluster's"):
                    await stranger("GetJob", job_id=JOB)
        await worker.end(uid, job_pb2.TASK_SUCCEEDED)
        await cluster.ended(JOB)
        with pytest.raises(Unauthenticated, match=f"attempt {uid}, which is over"):
            await task("GetJob", job_id=JOB)


async def test_endpoints_are_found_until_their_attempt_ends(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster, a_task(cluster) as (task, worker, uid):
        made = await task(
            "RegisterEndpoint", attempt_uid=uid, name="http", address="w:80", metadata={"a": "b"}
        )
        assert (made.name, made.task_id, dict(made.metadata)) == (
            f"{JOB}/http",
            f"{JOB}/0",
            {"a": "b"},
        )
        await task.register(uid, "grpc", "w:81")
        await task.register(uid, "http", "w:82")
        http, grpc = (f"{JOB}/http", f"{JOB}/0", "w:82"), (f"{JOB}/grpc", f"{JOB}/0", "w:81")
        assert await task.names() == [grpc, http]
        assert await task.names(f"{JOB}/h") == [http]
        assert await task.names(OTHER) == []
        assert len((await task("ListEndpoints", limit=1)).endpoints) == 1
        for _ in range(2):
            await task("UnregisterEndpoint", attempt_uid=uid, name="grpc")
        assert await task.names() == [http]
        await worker.end(uid, job_pb2.TASK_SUCCEEDED)
        await cluster.ended(JOB)
        async with caller(cluster) as user:
            assert await user.names() == []
            with pytest.raises(FailedPrecondition, match="is over: succeeded"):
                await user.register(uid)
            await user("UnregisterEndpoint", attempt_uid=uid, name="http")


async def test_endpoints_survive_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster, a_task(cluster) as (task, _, uid):
        await task.register(uid)
        clock, token = cluster.clock, task_token(TOKEN, AttemptUid(uid))
    planner = FakePlanner()
    planner.find("slice-1")  # the worker may come back
    async with (
        running(tmp_path, planner=planner, clock=clock) as cluster,
        caller(cluster, token) as task,
    ):
        assert await task.names() == [(f"{JOB}/http", f"{JOB}/0", "w:80")]


async def test_what_is_no_endpoint_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster, a_task(cluster) as (task, _, uid):
        for name, address, says in (
            ("a/b", "w:80", "'a/b' is no name of an endpoint"),
            ("", "w:80", "'' is no name"),
            ("a", "", "'' is no address"),
            ("a", "w 80", "is no address"),
        ):
            with pytest.raises(InvalidArgument, match=says):
                await task.register(uid, name, address)
        for number in range(MAX_ENDPOINTS):
            await task.register(uid, f"e{number}")
        with pytest.raises(ResourceExhausted, match=f"{MAX_ENDPOINTS} endpoints already"):
            await task.register(uid, "more")
        await task.register(uid, "e0", "w:81")
        async with caller(cluster) as user:
            with pytest.raises(NotFound, match="no attempt nobody"):
                await user.register("nobody")


async def test_an_output_stays_with_its_attempt(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("1 2 3")
    async with running(tmp_path) as cluster, a_task(cluster) as (task, worker, uid):
        digest = await task.upload(folder)
        made = await task("PublishOutput", attempt_uid=uid, name="model", digest=digest)
        assert (made.name, made.digest) == ("model", digest)
        assert made.bytes == folder.with_suffix(".bundle").stat().st_size
        assert await task("GetOutput", task_id=f"{JOB}/0", name="model") == made
        await worker.end(uid, job_pb2.TASK_SUCCEEDED)
        status = await cluster.ended(JOB)
        assert list(status.tasks[0].attempts[0].outputs) == [made]
        clock = cluster.clock
    async with running(tmp_path, clock=clock) as cluster, caller(cluster) as user:
        assert await user("GetOutput", task_id=f"{JOB}/0", name="model") == made


async def test_what_is_no_output_is_refused(tmp_path: Path) -> None:
    absent = "sha256:" + "0" * 64
    async with running(tmp_path) as cluster, a_task(cluster) as (task, _, uid):
        with pytest.raises(FailedPrecondition, match="has no bundle sha256:0"):
            await task("PublishOutput", attempt_uid=uid, name="model", digest=absent)
        with pytest.raises(NotFound, match=r"no output 'model'.*published: nothing"):
            await task("GetOutput", task_id=f"{JOB}/0", name="model")
        with pytest.raises(InvalidArgument, match=f"first task is {JOB}/0"):
            await task("GetOutput", task_id=JOB, name="model")
        async with caller(cluster) as user:
            with pytest.raises(NotFound, match=f"no task {JOB}/7"):
                await user("GetOutput", task_id=f"{JOB}/7", name="model")


async def test_it_speaks_for_its_own_attempt_only(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster, a_task(cluster) as (task, _, _):
        for method in ("RegisterEndpoint", "UnregisterEndpoint", "PublishOutput"):
            with pytest.raises(PermissionDenied, match="attempt another"):
                await task(method, attempt_uid="another", name="x")
