"""Ends a worker that is on its own: nobody can tell it any more that its tasks were run elsewhere.

Where a host loses its network, its tasks go on; the controller gives them up and starts them on other
hosts. A worker that has not reached its controller for a lease therefore ends itself.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from iris.host.clock import Clock

# Looks per lease: an end comes at most an eighth of the lease late.
_LOOKS = 8
_LEAST_SECONDS = 0.05
_MOST_SECONDS = 15.0


async def wait_until_alone(
    reached: Callable[[], Awaitable[bool]], lease: timedelta, clock: Clock
) -> str:
    """Returns, with the reason, once `reached` has said no for a whole lease.

    Time counts on the monotonic clock: a host that was suspended gets a look before it gives up.
    """
    interval = min(_MOST_SECONDS, max(_LEAST_SECONDS, lease.total_seconds() / _LOOKS))
    last = clock.monotonic()
    while True:
        if await reached():
            last = clock.monotonic()
        elif clock.monotonic() - last >= lease.total_seconds():
            return f"its controller was out of reach for {lease.total_seconds():g} s"
        await clock.sleep(interval)
