"""Tickets go to tasks of the same user, for attempts that run; their keys only the two of them have."""

from pathlib import Path
from typing import Any

import pytest
from iris_proto import actor_pb2, actor_pb2_grpc

from iris.controller.controller_fixture import TOKEN, Cluster, running
from iris.model.errors import NotFound, PermissionDenied, Unauthenticated
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors
from iris.rpc.tickets import ticket_key


async def ticket(cluster: Cluster, token: str, uid: str) -> Any:
    async with open_channel(cluster.address, token) as channel:
        with rpc_errors("IssueTicket"):
            stub: Any = actor_pb2_grpc.TicketServiceStub(channel)
            return await stub.IssueTicket(actor_pb2.IssueTicketRequest(attempt_uid=uid))


async def run(cluster: Cluster, worker: Any, job: str) -> tuple[str, str]:
    """(attempt, its token) of a job's task that runs."""
    await cluster.launch(job)
    uid = await worker.given(f"{job}/0")
    await worker.run(uid)
    return uid, worker.specs[uid].task_token


async def test_tasks_of_one_user_get_tickets_for_each_other(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w")
        called, its_token = await run(cluster, worker, "/ann/server")
        caller, own_token = await run(cluster, worker, "/ann/train")
        mine = await ticket(cluster, own_token, called)
        assert mine.bearer.startswith(f"{caller}/")
        assert mine.key == ticket_key(its_token, mine.bearer, mine.expires_at)
        again = await ticket(cluster, own_token, called)
        assert again.bearer != mine.bearer
        anybody = await ticket(cluster, TOKEN, called)
        assert anybody.bearer.startswith("cluster/")


async def test_nobody_else_does(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w")
        called, _ = await run(cluster, worker, "/ann/server")
        _, stranger = await run(cluster, worker, "/bob/train")
        with pytest.raises(PermissionDenied, match=r"may not call tasks of /ann/server"):
            await ticket(cluster, stranger, called)
        with pytest.raises(NotFound, match="No attempt gone runs"):
            await ticket(cluster, TOKEN, "gone")
        with pytest.raises(Unauthenticated):
            await ticket(cluster, "wrong", called)
