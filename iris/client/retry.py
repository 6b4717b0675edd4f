"""How often and how long a call is tried again when the controller cannot be reached."""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from iris.host.clock import Clock
from iris.model.errors import DeadlineExceeded, IrisError, Unavailable

T = TypeVar("T")

# Uniform between two numbers: `random.uniform`, or something predictable in tests.
Jitter = Callable[[float, float], float]

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0


class Patience:
    """Pauses that double, jittered, until a period without success has lasted too long.

    Args:
        seconds: How long one period of failures may last.
    """

    def __init__(self, seconds: float, *, clock: Clock, jitter: Jitter) -> None:
        self._seconds = seconds
        self._clock = clock
        self._jitter = jitter
        self._failures = 0
        self._failing_since = 0.0

    def succeeded(self) -> None:
        """The other side answered: the next failure begins a new period."""
        self._failures = 0

    async def pause(self, error: IrisError, *, ends: float = math.inf) -> None:
        """Waits before the next try. Raises `error` when there is no time left for one: because the period has lasted
        too long, or because it would be at `ends` (of the monotonic clock) or later.
        """
        now = self._clock.monotonic()
        if self._failures == 0:
            self._failing_since = now
        largest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**self._failures)
        seconds = self._jitter(largest / 2, largest)
        if now + seconds >= min(ends, self._failing_since + self._seconds):
            raise error
        self._failures += 1
        await self._clock.sleep(seconds)


async def call_with_retries(
    attempt: Callable[[float], Awaitable[T]],
    *,
    within: float,
    unreachable_for: float,
    clock: Clock,
    jitter: Jitter,
) -> T:
    """The answer of the first attempt that the other side answers.

    Args:
        attempt: One idempotent call; it is given the seconds that it may take.
        within: Seconds for all attempts together. Each may take all that is left of them.
        unreachable_for: Seconds after the first failure that it is tried again.

    Raises:
        IrisError: What the last attempt raised; at once if it says that a retry cannot help.
    """
    ends = clock.monotonic() + within
    patience = Patience(unreachable_for, clock=clock, jitter=jitter)
    while True:
        try:
            return await attempt(max(0.001, ends - clock.monotonic()))
        except (Unavailable, DeadlineExceeded) as error:
            await patience.pause(error, ends=ends)
