"""How a client calls its cluster: over one connection, and again while it cannot be reached."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import grpc.aio
from iris_proto import actor_pb2_grpc, controller_pb2_grpc

from iris.client.calls import call_errors
from iris.client.retry import Jitter, Patience, call_with_retries
from iris.host.clock import Clock
from iris.host.ids import IdSource

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How long a client waits for what.

    Attributes:
        call_timeout: For a call in all. No attempt is cut off earlier: a controller that is slow because it has much
            to do would lose what it began and have more to do. That a connection is dead is noticed by keepalive
            (`iris.rpc.channels`).
        retry_for: How long a call is made again while the controller cannot be reached.
        reconnect_for: How long a broken stream is begun anew before it is given up.
        stream_timeout: After this long a stream is begun anew in any case; nobody notices.
        transfer_timeout: For sending a bundle, and for a back-up.
        replace_timeout: For launching a job that takes the place of one, which has to end first.
    """

    call_timeout: timedelta = timedelta(minutes=2)
    retry_for: timedelta = timedelta(seconds=30)
    reconnect_for: timedelta = timedelta(seconds=60)
    stream_timeout: timedelta = timedelta(minutes=10)
    transfer_timeout: timedelta = timedelta(minutes=15)
    replace_timeout: timedelta = timedelta(minutes=5)


class Caller:
    """The part of a Client that its calls are made with."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        address: str,
        options: ClientOptions,
        clock: Clock,
        jitter: Jitter,
        ids: IdSource,
    ) -> None:
        """See Client.connect."""
        self.address = address
        self._jobs: Any = controller_pb2_grpc.ControllerServiceStub(channel)
        self._bundles: Any = controller_pb2_grpc.BundleServiceStub(channel)
        self._tickets: Any = actor_pb2_grpc.TicketServiceStub(channel)
        self._options = options
        self._clock = clock
        self._jitter = jitter
        self._ids = ids

    async def _call(
        self,
        name: str,
        method: Callable[..., Awaitable[T]],
        request: object,
        *,
        within: timedelta | None = None,
    ) -> T:
        """Makes an idempotent call as often as it takes. `name` is for errors, `within` (default: `call_timeout`) for
        calls that may take their time.
        """
        doing = self._doing(name)

        async def once(left: float) -> T:
            with call_errors(doing):
                return await method(request, timeout=left)

        return await call_with_retries(
            once,
            within=(within or self._options.call_timeout).total_seconds(),
            unreachable_for=self._options.retry_for.total_seconds(),
            clock=self._clock,
            jitter=self._jitter,
        )

    def _doing(self, call: str) -> str:
        return f"{call} at {self.address}"

    def _patience(self) -> Patience:
        return Patience(
            self._options.reconnect_for.total_seconds(), clock=self._clock, jitter=self._jitter
        )
