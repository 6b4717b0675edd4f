"""Where calls over the wire fail: every failure leaves as an IrisError, and only a real
cancellation as one.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from iris.model.errors import Unavailable
from iris.rpc.errors import rpc_errors


@contextmanager
def call_errors(doing: str) -> Iterator[None]:
    """Turns what grpc raises inside of the block into IrisErrors. `doing` names the call, for
    errors gRPC itself reports.

    A call that the *server* cancels, as one does that stops, also arrives as
    asyncio.CancelledError; it is told from the cancellation of the calling task, which passes.
    """
    try:
        with rpc_errors(doing):
            yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Unavailable(
            f"{doing}: the controller cancelled the call.", hint="It may be stopping."
        ) from None
