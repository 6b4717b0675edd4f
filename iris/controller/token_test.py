"""Nobody without the token is answered, whatever is asked; but anybody may ask for the health."""

from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from iris_proto import controller_pb2, controller_pb2_grpc, worker_pb2

from iris.controller.controller_fixture import TOKEN, running
from iris.model.errors import Unauthenticated
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors


async def test_health_needs_no_token(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        async with open_channel(cluster.address, "") as channel:
            stub = controller_pb2_grpc.ControllerServiceStub(channel)
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
    assert len(methods) == 22
    async with running(tmp_path) as cluster:
        for token in ("", TOKEN[:-1], TOKEN + "x"):
            async with open_channel(cluster.address, token) as channel:
                for service, method in methods:
                    if method.name == "Health":
                        continue
                    with pytest.raises(Unauthenticated), rpc_errors(method.full_name):
                        await _call(channel, f"/{service.full_name}/{method.name}", method)


async def _call(channel: grpc.aio.Channel, path: str, method: Any) -> None:
    kind = ("stream" if method.client_streaming else "unary") + (
        "_stream" if method.server_streaming else "_unary"
    )
    multi = getattr(channel, kind)(path)
    call = multi(iter([b""])) if method.client_streaming else multi(b"")
    if method.server_streaming:
        await call.read()
    else:
        await call
