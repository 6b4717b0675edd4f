"""Channels, servers, token and errors, over real gRPC on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from iris_proto import controller_pb2, controller_pb2_grpc, job_pb2, worker_pb2, worker_pb2_grpc

from iris.model import errors
from iris.rpc import channels
from iris.rpc import errors as rpc_errors_module
from iris.rpc.channels import open_channel
from iris.rpc.errors import rpc_errors
from iris.rpc.health import check_health
from iris.rpc.server import bind, create_server

TOKEN = "right-token"


class _Controller(controller_pb2_grpc.ControllerServiceServicer):
    """Answers, or raises what it is told to."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.seen: list[str] = []
        self.remaining: list[float] = []
        self.closed = asyncio.Event()

    async def GetJob(
        self, request: controller_pb2.GetJobRequest, context: Any
    ) -> job_pb2.JobStatus:
        self.seen.append("GetJob")
        self.remaining.append(context.time_remaining())
        if self.error:
            raise self.error
        return job_pb2.JobStatus(job_id=request.job_id)

    async def WatchJob(self, request: Any, context: Any) -> AsyncIterator[job_pb2.JobStatus]:
        self.seen.append("WatchJob")
        self.remaining.append(context.time_remaining())
        try:
            yield job_pb2.JobStatus(job_id=request.job_id)
            if self.error:
                raise self.error
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def Health(self, request: Any, context: Any) -> controller_pb2.HealthResponse:
        return controller_pb2.HealthResponse(cluster="test", healthy=True)


class _Bundles(controller_pb2_grpc.BundleServiceServicer):
    async def UploadBundle(
        self, request_iterator: Any, context: Any
    ) -> controller_pb2.UploadBundleResponse:
        total = 0
        async for request in request_iterator:
            total += len(request.chunk)
        return controller_pb2.UploadBundleResponse(archive_bytes=total)


class _Workers(worker_pb2_grpc.WorkerServiceServicer):
    async def Attach(
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[worker_pb2.ControllerMessage]:
        async for _ in request_iterator:
            yield worker_pb2.ControllerMessage()


@asynccontextmanager
async def _served(controller: _Controller) -> AsyncIterator[str]:
    server = create_server(TOKEN)
    controller_pb2_grpc.add_ControllerServiceServicer_to_server(controller, server)
    controller_pb2_grpc.add_BundleServiceServicer_to_server(_Bundles(), server)
    worker_pb2_grpc.add_WorkerServiceServicer_to_server(_Workers(), server)
    port = bind(server, "127.0.0.1", 0)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def _upload(channel: grpc.aio.Channel) -> Any:
    requests = [
        controller_pb2.UploadBundleRequest(digest="d"),
        controller_pb2.UploadBundleRequest(chunk=b"abc"),
    ]
    return await controller_pb2_grpc.BundleServiceStub(channel).UploadBundle(iter(requests))


async def _attach(channel: grpc.aio.Channel) -> Any:
    call = worker_pb2_grpc.WorkerServiceStub(channel).Attach()
    await call.write(worker_pb2.WorkerMessage())
    answer = await call.read()
    await call.done_writing()
    return answer


async def _watch(channel: grpc.aio.Channel) -> Any:
    request = controller_pb2.WatchJobRequest(job_id="/a/b")
    call = controller_pb2_grpc.ControllerServiceStub(channel).WatchJob(request)
    return await anext(aiter(call))


async def _get(channel: grpc.aio.Channel) -> Any:
    request = controller_pb2.GetJobRequest(job_id="/a/b")
    return await controller_pb2_grpc.ControllerServiceStub(channel).GetJob(request)


async def _unknown(channel: grpc.aio.Channel) -> Any:
    return await channel.unary_unary("/iris.v1.ControllerService/Nothing")(b"")


async def _again_while_unavailable(call: Callable[[Any], Any], channel: grpc.aio.Channel) -> Any:
    """What clients and workers do. A refusal that comes while a stream is being sent is lost in grpc.aio: the call is
    Unavailable then (see `from_wire`), and which of the two it is, is a matter of moments.
    """
    while True:
        try:
            with rpc_errors("call"):
                return await call(channel)
        except errors.Unavailable:
            pass


ALL_KINDS = [_get, _watch, _upload, _attach]


@pytest.mark.parametrize("call", ALL_KINDS)
async def test_every_kind_of_call_works_with_the_token(call: Callable[[Any], Any]) -> None:
    async with _served(_Controller()) as address, open_channel(address, TOKEN) as channel:
        assert await call(channel) is not None


@pytest.mark.parametrize("token", ["", "wrong-token", "right-token-and-more", "Right-token"])
@pytest.mark.parametrize("call", [*ALL_KINDS, _unknown])
async def test_every_kind_of_call_is_refused_without_the_token(
    call: Callable[[Any], Any], token: str
) -> None:
    controller = _Controller()
    async with _served(controller) as address, open_channel(address, token) as channel:
        with pytest.raises(errors.Unauthenticated):
            await _again_while_unavailable(call, channel)
    assert controller.seen == []


async def test_health_needs_no_token() -> None:
    async with _served(_Controller()) as address:
        answer = await asyncio.to_thread(check_health, address, timedelta(seconds=20))
    assert answer.healthy


async def test_health_of_nobody_is_unavailable() -> None:
    with socket.socket() as held:  # bound, not listening: nobody can answer there
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises((errors.Unavailable, errors.DeadlineExceeded), match=address):
            await asyncio.to_thread(check_health, address, timedelta(seconds=2))


@pytest.mark.parametrize(
    "kind", sorted(errors.ERRORS_BY_CODE.values(), key=lambda kind: kind.__name__)
)
@pytest.mark.parametrize("call", [_get, _watch])
async def test_errors_come_back_as_what_they_were(
    kind: type[errors.IrisError], call: Callable[[Any], Any]
) -> None:
    controller = _Controller()
    controller.error = kind("Käse is out.", hint="Buy some.")

    async def all_of(channel: Any) -> None:
        if call is _get:
            await _get(channel)
        else:
            request = controller_pb2.WatchJobRequest(job_id="/a/b")
            async for _ in controller_pb2_grpc.ControllerServiceStub(channel).WatchJob(request):
                pass

    async with _served(controller) as address, open_channel(address, TOKEN) as channel:
        with pytest.raises(kind) as caught, rpc_errors("call"):
            await all_of(channel)
    assert type(caught.value) is kind
    assert (caught.value.problem, caught.value.hint) == ("Käse is out.", "Buy some.")


async def test_what_was_not_raised_on_purpose_shows_an_id_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    controller = _Controller()
    controller.error = ZeroDivisionError("the secret detail")
    async with _served(controller) as address, open_channel(address, TOKEN) as channel:
        with pytest.raises(errors.Internal) as caught, rpc_errors("call"):
            await _get(channel)
        rpc_error = caught.value.__cause__
        assert isinstance(rpc_error, grpc.aio.AioRpcError)
        assert "secret" not in repr(rpc_error) + str(caught.value)
    error_id = str(caught.value).rpartition(" ")[2].rstrip(".")
    assert len(error_id) == 8
    assert any(error_id in record.message and record.exc_info for record in caplog.records)


async def test_errors_of_grpc_itself_name_the_call() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        async with open_channel(f"127.0.0.1:{held.getsockname()[1]}", TOKEN) as channel:
            with (
                pytest.raises(errors.Unavailable, match="GetJob at nowhere"),
                rpc_errors("GetJob at nowhere"),
            ):
                await _get(channel)


async def test_a_method_the_server_lacks_is_a_failed_precondition() -> None:
    async with _served(_Controller()) as address, open_channel(address, TOKEN) as channel:
        with pytest.raises(errors.FailedPrecondition), rpc_errors("call"):
            await _unknown(channel)


async def test_every_call_has_a_deadline_and_keeps_its_own() -> None:
    controller = _Controller()
    async with _served(controller) as address, open_channel(address, TOKEN) as channel:
        await _get(channel)
        await _watch(channel)
        stub = controller_pb2_grpc.ControllerServiceStub(channel)
        await stub.GetJob(controller_pb2.GetJobRequest(), timeout=1_000)
    unary, stream, own = controller.remaining
    rounded_up = 1.02  # as gRPC does with a long deadline on the wire
    default = channels.DEFAULT_DEADLINE.total_seconds() * rounded_up
    assert 0 < unary <= default
    assert default < stream <= channels.STREAM_DEADLINE.total_seconds() * rounded_up
    assert default < own <= 1_000 * rounded_up


async def test_a_stream_that_is_left_ends_its_handler() -> None:
    controller = _Controller()
    async with _served(controller) as address, open_channel(address, TOKEN) as channel:
        call = controller_pb2_grpc.ControllerServiceStub(channel).WatchJob(
            controller_pb2.WatchJobRequest()
        )
        assert await call.read()
        call.cancel()
        await asyncio.wait_for(controller.closed.wait(), 20)


async def test_a_taken_port_is_refused() -> None:
    async with _served(_Controller()) as address:
        other = create_server(TOKEN)
        with pytest.raises(errors.FailedPrecondition, match=address):
            bind(other, "127.0.0.1", int(address.rpartition(":")[2]))
        await other.stop(None)


async def test_an_empty_token_makes_no_server() -> None:
    with pytest.raises(errors.InvalidArgument):
        create_server("")


def test_every_status_means_an_error_of_ours() -> None:
    for status in grpc.StatusCode:
        if status is not grpc.StatusCode.OK:
            error = grpc.aio.AioRpcError(
                status, grpc.aio.Metadata(), grpc.aio.Metadata(), details="x"
            )
            assert isinstance(rpc_errors_module.from_wire(error), errors.IrisError)


def test_broken_metadata_does_not_hide_the_status() -> None:
    metadata = grpc.aio.Metadata((rpc_errors_module.ERROR_METADATA_KEY, b"\xff\xff"))
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), metadata, details="x"
    )
    assert type(rpc_errors_module.from_wire(error)) is errors.NotFound


def test_a_call_that_is_over_while_it_sends_may_be_made_again() -> None:
    """Whether grpc.aio tells of it so, or by the status of the call, is a matter of time."""
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.INTERNAL,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(),
        "Internal error from Core",
        'Failed "execute_batch": (<grpc._cython.cygrpc.SendMessageOperation object>,)',
    )
    meant = rpc_errors_module.from_wire(error, "UploadBundle at nowhere")
    assert type(meant) is errors.Unavailable
    assert "UploadBundle at nowhere: it was over" in str(meant)
