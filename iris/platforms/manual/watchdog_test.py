"""A worker that is without its controller for a lease ends itself, and never before."""

import asyncio
from datetime import timedelta

from iris.platforms.manual.watchdog import wait_until_alone
from iris.testing.clock import FakeClock, settle

LEASE = timedelta(seconds=80)


class Way:
    """To a controller, open or not."""

    def __init__(self) -> None:
        self.open = True

    async def reached(self) -> bool:
        return self.open


async def test_a_lease_without_the_controller_ends_it() -> None:
    clock, way = FakeClock(), Way()
    task = asyncio.create_task(wait_until_alone(way.reached, LEASE, clock))
    await settle()
    for _ in range(20):
        await clock.advance(40)
    assert not task.done()
    way.open = False
    await clock.advance(LEASE.total_seconds() - 1)
    assert not task.done()
    await clock.advance(LEASE.total_seconds() / 8 + 1)
    assert await task == "its controller was out of reach for 80 s"


async def test_one_answer_is_a_new_lease() -> None:
    clock, way = FakeClock(), Way()
    task = asyncio.create_task(wait_until_alone(way.reached, LEASE, clock))
    await settle()
    for _ in range(5):
        way.open = False
        await clock.advance(60)
        way.open = True
        await clock.advance(20)
    assert not task.done()
    task.cancel()


async def test_a_host_that_slept_looks_before_it_gives_up() -> None:
    clock, way = FakeClock(), Way()
    task = asyncio.create_task(wait_until_alone(way.reached, LEASE, clock))
    await settle()
    await clock.advance(10_000)
    assert not task.done()
    task.cancel()
