"""Calls to a platform are bounded in time and number, and raise nothing but errors of ours."""

import asyncio
from datetime import timedelta

import pytest

from iris.autoscaler.calls import PlatformCalls
from iris.model.errors import DeadlineExceeded, Internal, ResourceExhausted
from iris.testing.clock import FakeClock, settle


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def calls(clock: FakeClock) -> PlatformCalls:
    return PlatformCalls(clock, timedelta(seconds=30), limit=2)


async def answer(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def test_gives_the_result_and_leaves_no_timer(calls: PlatformCalls, clock: FakeClock) -> None:
    before = asyncio.all_tasks()
    assert await calls.run("Asking", lambda: answer(7)) == 7
    assert (clock.sleepers, asyncio.all_tasks()) == (0, before)


async def test_errors_of_ours_come_through(calls: PlatformCalls) -> None:
    async def refuse() -> None:
        raise ResourceExhausted("4 of 4")

    with pytest.raises(ResourceExhausted, match="4 of 4"):
        await calls.run("Asking", refuse)


async def test_others_become_ours(calls: PlatformCalls) -> None:
    async def break_down() -> None:
        raise KeyError("zone")

    with pytest.raises(Internal, match="Asking failed: KeyError: 'zone'"):
        await calls.run("Asking", break_down)


async def test_the_deadline_cancels_the_call(calls: PlatformCalls, clock: FakeClock) -> None:
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    running = asyncio.create_task(calls.run("Asking", hang))
    await settle()
    await clock.advance(29)
    assert not running.done()
    await clock.advance(1)
    with pytest.raises(DeadlineExceeded, match=r"Asking did not end within 30 s\."):
        await running
    assert cancelled.is_set()


async def test_cancelling_the_caller_cancels_the_call(calls: PlatformCalls) -> None:
    before = asyncio.all_tasks()
    running = asyncio.create_task(calls.run("Asking", asyncio.Event().wait))
    await settle()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (running.cancelled(), asyncio.all_tasks()) == (True, before)


async def test_only_so_many_at_once_and_the_deadline_counts_from_the_start(
    calls: PlatformCalls, clock: FakeClock
) -> None:
    hanging = [asyncio.create_task(calls.run("First", asyncio.Event().wait)) for _ in range(2)]
    late = asyncio.create_task(calls.run("Late", lambda: answer(1)))
    await settle()
    assert not late.done()
    await clock.advance(30)
    assert [type(one.exception()) for one in hanging] == [DeadlineExceeded] * 2
    assert await late == 1
