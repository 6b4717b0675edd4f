"""One endless stream of messages out of many server streams that may break at any time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from grpc import aio

from iris.client.calls import call_errors
from iris.client.retry import Patience
from iris.host.clock import Clock
from iris.model.errors import DeadlineExceeded, IrisError, Unavailable

_END = aio.EOF
# A stream that lasted this share of its time was ended by its deadline, measured by gRPC's clock,
# not by a failure.
_FULL_TERM = 0.9


async def read_through_breaks(
    doing: str,
    open_stream: Callable[[float], Any],
    *,
    is_complete: Callable[[], Awaitable[bool]],
    patience: Patience,
    clock: Clock,
    stream_seconds: float,
    first_within: float | None = None,
) -> AsyncGenerator[Any, None]:
    """Yields the messages of a stream, and of those that are opened after it whenever one breaks.

    Messages may repeat after a break; the caller knows what it has had. Close the iterator
    (`contextlib.aclosing`) when leaving early.

    Args:
        doing: Names the call in errors.
        open_stream: Begins a server stream; it is given the seconds it may last.
        is_complete: Asked when a stream ended in good order: whether that was all.
        patience: How long to try when streams break without a message.
        stream_seconds: One server stream lasts at most this long and is then begun anew, so that a
            peer that is only half there cannot hold it for ever.
        first_within: Where the server always answers at once: seconds for the first message.

    Raises:
        IrisError: When the server refuses, or could not be reached for too long.
    """
    while True:
        began = clock.monotonic()
        stream = open_stream(stream_seconds)
        limit = first_within
        error: IrisError
        try:
            while (message := await _read(stream, doing, limit)) is not _END:
                limit = None
                patience.succeeded()
                yield message
            if await is_complete():
                return
            error = Unavailable(
                f"{doing}: the stream ended before all was said.",
                hint="The controller may be stopping.",
            )
        except (Unavailable, DeadlineExceeded) as problem:
            error = problem
            if clock.monotonic() - began >= stream_seconds * _FULL_TERM:
                patience.succeeded()
        finally:
            stream.cancel()
        await patience.pause(error)


async def _read(stream: Any, doing: str, within: float | None) -> Any:
    """The next message, or EOF."""
    with call_errors(doing):
        try:
            async with asyncio.timeout(within):
                return await stream.read()
        except TimeoutError:
            raise DeadlineExceeded(
                f"{doing}: the controller took the call but said nothing within {within:g} s.",
                hint="It may hang; its log may say why.",
            ) from None
