"""A wall clock that jumps, or is not the controller's."""

from datetime import UTC, datetime, timedelta

import pytest

from iris.worker.health.clock import ClockCheck

START = datetime(2026, 1, 1, tzinfo=UTC)
MOST = timedelta(seconds=30)


class SetClock:
    """Both clocks, each turned by hand."""

    def __init__(self) -> None:
        self.wall = START
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.run(seconds)

    def run(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds

    def jump(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)


async def test_a_clock_that_goes_is_well() -> None:
    clock = SetClock()
    check = ClockCheck(clock, MOST)
    for seconds in (0, 10, 3600):
        clock.run(seconds)
        assert await check.look() == ""


@pytest.mark.parametrize(
    ("seconds", "says"), [(3600, "it jumped 3600 s forward"), (-31, "it jumped 31 s back")]
)
async def test_a_jump_is_told_once(seconds: float, says: str) -> None:
    clock = SetClock()
    check = ClockCheck(clock, MOST)
    assert await check.look() == ""
    clock.jump(seconds)
    clock.run(10)
    assert (await check.look()).startswith(f"{says}, more than 30 s; ")
    clock.run(10)
    assert await check.look() == ""


async def test_a_small_jump_is_none() -> None:
    clock = SetClock()
    check = ClockCheck(clock, MOST)
    await check.look()
    clock.jump(30)
    assert await check.look() == ""


@pytest.mark.parametrize(
    ("seconds", "says"), [(40, "it is 40 s behind"), (-40, "it is 40 s ahead of")]
)
async def test_the_controllers_time_is_another(seconds: float, says: str) -> None:
    clock = SetClock()
    check = ClockCheck(clock, MOST)
    check.controller_says(clock.now() + timedelta(seconds=seconds))
    for _ in range(2):
        said = await check.look()
        assert said.startswith(f"{says} the controller's, more than 30 s; set both"), said
        clock.run(3600)
    check.controller_says(clock.now() + timedelta(seconds=30))
    assert await check.look() == ""


async def test_small_steps_add_up() -> None:
    clock = SetClock()
    check = ClockCheck(clock, MOST)
    check.controller_says(clock.now())
    await check.look()
    clock.jump(20)
    assert await check.look() == ""
    clock.jump(20)
    assert (await check.look()).startswith("it is 40 s ahead of the controller's")


async def test_after_a_machine_has_slept_it_is_not_known_until_the_controller_says() -> None:
    """Its monotonic clock stood still, so what was known of the controller's is worth nothing."""
    clock = SetClock()
    check = ClockCheck(clock, MOST)
    check.controller_says(clock.now())
    await check.look()
    clock.jump(7200)
    assert "jumped 7200 s forward" in await check.look()
    assert await check.look() == ""
    check.controller_says(clock.now() - timedelta(seconds=7200))
    assert "7200 s ahead of" in await check.look()
