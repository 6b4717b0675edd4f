"""When looks are made, and what is told of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from iris.model.health import HealthProblem
from iris.testing.clock import FakeClock, settle
from iris.worker.health.monitor import PATIENCE_SECONDS, RETELL_SECONDS, HealthMonitor

INTERVAL = 10.0


class PlayedCheck:
    """Finds what the test says; waits while it is held."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.says = ""
        self.error: Exception | None = None
        self.looks = 0
        self.free = asyncio.Event()
        self.free.set()

    async def look(self) -> str:
        self.looks += 1
        await self.free.wait()
        if self.error is not None:
            raise self.error
        return self.says


class Watched:
    """Two checks under a monitor."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.disk, self.clocks = PlayedCheck("disk"), PlayedCheck("clock")
        self.told: list[list[str]] = []
        self.monitor = HealthMonitor(
            (self.disk, self.clocks), clock=self.clock, interval=INTERVAL, tell=self._tell
        )

    def _tell(self, problems: tuple[HealthProblem, ...]) -> None:
        self.told.append([str(one) for one in problems])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.monitor.run())
        await settle()
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])
            await self.monitor.close()


async def test_nothing_is_told_while_all_is_well() -> None:
    watched = Watched()
    await watched.monitor.look()
    async with watched.running():
        await watched.clock.advance(INTERVAL - 0.1)
        assert watched.disk.looks == 1
        await watched.clock.advance(0.1)
        assert (watched.disk.looks, watched.clocks.looks) == (2, 2)
        await watched.clock.advance(INTERVAL)
        assert watched.disk.looks == 3
    assert watched.told == []
    assert watched.monitor.problems == ()


async def test_a_problem_is_told_when_it_comes_and_when_it_goes() -> None:
    watched = Watched()
    watched.disk.says = "full"
    await watched.monitor.look()
    await watched.monitor.look()
    assert watched.told == [["disk: full"]]
    assert watched.monitor.problems == (HealthProblem("disk", "full"),)
    watched.clocks.says = "wrong"
    await watched.monitor.look()
    watched.disk.says = watched.clocks.says = ""
    await watched.monitor.look()
    assert watched.told[1:] == [["disk: full", "clock: wrong"], []]


async def test_new_numbers_are_told_now_and_then() -> None:
    watched = Watched()
    watched.disk.says = "7 MiB"
    await watched.monitor.look()
    watched.disk.says = "6 MiB"
    await watched.clock.advance(RETELL_SECONDS - 1)
    await watched.monitor.look()
    assert watched.told == [["disk: 7 MiB"]]
    await watched.clock.advance(1)
    await watched.monitor.look()
    assert watched.told == [["disk: 7 MiB"], ["disk: 6 MiB"]]


async def test_a_look_that_fails_is_a_problem() -> None:
    watched = Watched()
    watched.disk.error = RuntimeError("oh")
    await watched.monitor.look()
    assert watched.told == [["disk: the look at it failed: RuntimeError: oh"]]
    watched.disk.error = None
    await watched.monitor.look()
    assert watched.told[1:] == [[]]


async def test_a_look_that_does_not_end_is_a_problem_and_holds_nothing_up() -> None:
    watched = Watched()
    watched.disk.free.clear()
    async with watched.running():
        await watched.clock.advance(INTERVAL)
        assert watched.told == []
        await watched.clock.advance(PATIENCE_SECONDS)
        assert watched.told == [["disk: the look at it does not end within 10 s"]]
        watched.clocks.says = "wrong"
        await watched.clock.advance(INTERVAL + PATIENCE_SECONDS)
        assert watched.disk.looks == 1, "it is not begun again"
        assert watched.told[-1][1:] == ["clock: wrong"]
        watched.disk.free.set()
        await watched.clock.advance(INTERVAL)
        assert watched.told[-1] == ["clock: wrong"]


async def test_nothing_is_left_of_a_look_that_does_not_end() -> None:
    watched = Watched()
    watched.disk.free.clear()
    before = asyncio.all_tasks()
    async with watched.running():
        await watched.clock.advance(INTERVAL + PATIENCE_SECONDS)
    assert asyncio.all_tasks() == before
