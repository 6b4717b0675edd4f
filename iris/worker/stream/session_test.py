"""A call that ends before it has begun is a call that failed, whatever grpc says of it, and not the
end of the worker.
"""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from iris_proto import worker_pb2

from iris.model.errors import Unauthenticated, Unavailable
from iris.rpc.channels import open_channel
from iris.testing.clock import FakeClock
from iris.worker.stream.outbox import Outbox
from iris.worker.stream.session import CallFailed, Session

_REFUSED = grpc.aio.AioRpcError(
    grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), grpc.aio.Metadata(), "not you"
)


class _CallThatIsOver:
    def __init__(self, at_read: Any) -> None:
        self._at_read = at_read
        self.cancelled = False

    async def write(self, message: worker_pb2.WorkerMessage) -> None:
        raise asyncio.InvalidStateError("RPC already finished.")

    async def read(self) -> Any:
        if isinstance(self._at_read, Exception):
            raise self._at_read
        return self._at_read

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.parametrize(
    ("at_read", "kind"),
    [
        (grpc.aio.EOF, Unavailable),
        (asyncio.InvalidStateError("RPC already finished."), Unavailable),
        (_REFUSED, Unauthenticated),
    ],
)
async def test_a_call_that_ended_before_the_hello(at_read: Any, kind: type[Exception]) -> None:
    channel = open_channel("127.0.0.1:1", "token")
    session = Session(
        channel,
        Outbox({}),
        None,  # type: ignore[arg-type]  # nobody says anything
        worker_pb2.Hello,
        clock=FakeClock(),
        welcome_seconds=30,
        doing="Attach",
    )
    call = _CallThatIsOver(at_read)
    session._stub.Attach = lambda: call
    with pytest.raises(CallFailed) as caught:
        await session.run()
    assert isinstance(caught.value.error, kind)
    assert call.cancelled
    await channel.close()
