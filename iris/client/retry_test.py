"""Retries by a clock that is turned by hand."""

import asyncio

import pytest

from iris.client.retry import Patience, call_with_retries
from iris.model.errors import DeadlineExceeded, InvalidArgument, IrisError, Unavailable
from iris.testing.clock import FakeClock, settle

AWAY = Unavailable("away")


def longest(low: float, high: float) -> float:
    return high


class Attempts:
    """Fails with each of the errors in turn, then answers; notes when it was asked and how long it
    might take.
    """

    def __init__(self, clock: FakeClock, *errors: IrisError, took: float = 0.0) -> None:
        self._clock = clock
        self._errors = list(errors)
        self._took = took
        self.times: list[float] = []
        self.limits: list[float] = []

    async def __call__(self, left: float) -> str:
        self.times.append(round(self._clock.monotonic(), 3))
        self.limits.append(round(left, 3))
        await self._clock.sleep(self._took)
        if self._errors:
            raise self._errors.pop(0)
        return "answer"


async def run(
    clock: FakeClock, attempts: Attempts, *, within: float = 120.0, unreachable_for: float = 30.0
) -> str:
    call = asyncio.create_task(
        call_with_retries(
            attempts, within=within, unreachable_for=unreachable_for, clock=clock, jitter=longest
        )
    )
    while not call.done():
        await settle()
        await clock.advance(0.05)
    return call.result()


async def test_pauses_double() -> None:
    clock = FakeClock()
    attempts = Attempts(clock, *[AWAY] * 4)
    assert await run(clock, attempts) == "answer"
    assert attempts.times == [0.0, 0.05, 0.15, 0.35, 0.75]


async def test_each_attempt_may_take_all_that_is_left() -> None:
    """One that is cut off earlier and made again only adds to what keeps the controller from answering."""
    clock = FakeClock()
    attempts = Attempts(clock, AWAY, AWAY, took=10.0)
    assert await run(clock, attempts, within=45.0) == "answer"
    assert attempts.limits == [45.0, 34.95, 24.85]


async def test_an_attempt_that_took_all_the_time_is_the_last() -> None:
    clock = FakeClock()
    attempts = Attempts(clock, DeadlineExceeded("slow"), took=45.0)
    with pytest.raises(DeadlineExceeded, match="slow"):
        await run(clock, attempts, within=45.0)
    assert attempts.times == [0.0]


@pytest.mark.parametrize(("within", "unreachable_for"), [(120.0, 5.0), (5.0, 30.0), (5.0, 5.0)])
async def test_the_last_error_is_raised_when_time_is_up(
    within: float, unreachable_for: float
) -> None:
    clock = FakeClock()
    attempts = Attempts(clock, *[AWAY] * 100)
    with pytest.raises(Unavailable, match="away"):
        await run(clock, attempts, within=within, unreachable_for=unreachable_for)
    assert attempts.times[-1] < 5.0
    assert len(attempts.times) > 5


async def test_patience_begins_with_the_first_failure() -> None:
    """Not with the call: an attempt may have taken long before it failed."""
    clock = FakeClock()
    attempts = Attempts(clock, AWAY, took=60.0)
    assert await run(clock, attempts, within=150.0) == "answer"
    assert attempts.times == [0.0, 60.05]


async def test_what_cannot_get_better_is_raised_at_once() -> None:
    clock = FakeClock()
    attempts = Attempts(clock, InvalidArgument("never"))
    with pytest.raises(InvalidArgument):
        await run(clock, attempts)
    assert attempts.times == [0.0]


async def test_patience_counts_from_the_first_failure_after_a_success() -> None:
    clock = FakeClock()
    patience = Patience(1.0, clock=clock, jitter=longest)

    async def fail_until_given_up() -> int:
        for pauses in range(100):
            pause = asyncio.create_task(patience.pause(AWAY))
            await settle()
            while not pause.done():
                await clock.advance(0.05)
            if pause.exception():
                return pauses
        raise AssertionError("never given up")

    assert (
        await fail_until_given_up() == 4
    )  # 0.05 + 0.1 + 0.2 + 0.4, and 0.8 more would be too long
    patience.succeeded()
    assert await fail_until_given_up() == 4
