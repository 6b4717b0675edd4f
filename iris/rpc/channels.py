"""Channels to a controller: every call has a deadline and the token, every connection is kept
alive.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio

from iris.rpc.auth import token_metadata

# For calls that are answered once. A call with `timeout=` of its own keeps that.
DEFAULT_DEADLINE = timedelta(seconds=30)
# For uploads, whose length depends on their size.
TRANSFER_DEADLINE = timedelta(minutes=15)
# For streams that stay open. A stream that dies earlier is noticed by keepalive within about 15 s;
# who wants to watch longer than this calls again.
STREAM_DEADLINE = timedelta(days=1)

# Bound on one message, either way. Whoever has more to say sends it in parts.
MAX_MESSAGE_BYTES = 16 << 20

KEEPALIVE_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
SIZE_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)
CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    *KEEPALIVE_OPTIONS,
    *SIZE_OPTIONS,
    # A proxy from the environment is for the web, not for a cluster.
    ("grpc.enable_http_proxy", 0),
    # Closing a channel closes its connection, and one channel's back-off does not hold up
    # another's.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 3_000),
)


def open_channel(address: str, token: str) -> grpc.aio.Channel:
    """A channel to `host:port`; connects when first used.

    An empty token sends none (only Health answers then).

    Call on the event loop it is to be used on, and await `close()` on it.
    """
    interceptors = [kind(token, deadline) for kind, deadline in _INTERCEPTORS]
    return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS, interceptors=interceptors)


class _CallDefaults:
    """Adds the token and, to a call without one, the deadline."""

    def __init__(self, token: str, deadline: timedelta) -> None:
        self._header = token_metadata(token) if token else None
        self._seconds = deadline.total_seconds()

    async def _intercept(
        self, continuation: Callable[[Any, Any], Any], details: Any, request: Any
    ) -> Any:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if self._header:
            metadata.add(*self._header)
        timeout = self._seconds if details.timeout is None else details.timeout
        return await continuation(details._replace(metadata=metadata, timeout=timeout), request)


# grpc.aio sorts an interceptor by the first of these four classes it belongs to, so each needs its
# own.
class _UnaryUnary(_CallDefaults, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await self._intercept(continuation, client_call_details, request)


class _UnaryStream(_CallDefaults, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await self._intercept(continuation, client_call_details, request)


class _StreamUnary(_CallDefaults, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await self._intercept(continuation, client_call_details, request_iterator)


class _StreamStream(_CallDefaults, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await self._intercept(continuation, client_call_details, request_iterator)


_INTERCEPTORS: tuple[tuple[Any, timedelta], ...] = (
    (_UnaryUnary, DEFAULT_DEADLINE),
    (_StreamUnary, TRANSFER_DEADLINE),
    (_UnaryStream, STREAM_DEADLINE),
    (_StreamStream, STREAM_DEADLINE),
)
