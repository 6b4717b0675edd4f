"""Many calls at once: as slow as the slowest few, and none in another's way."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from iris.autoscaler.demand import SliceOccupancy
from iris.autoscaler.scaling_cases import SETTINGS, cpu_group, demand
from iris.autoscaler.scene_fixture import Scene
from iris.model.errors import ResourceExhausted
from iris.model.fleet import ScaleGroup, VmState
from iris.testing.clock import settle
from iris.testing.platform_fakes import FakeVmGroup, FakeVmManager

SLICES = 54
# Tasks that follow each other within one moment need so many turns of the event loop.
MANY = 300


class SlowGroup(FakeVmGroup):
    """Takes its time to end."""

    seconds = 0.0
    clock: "Scene"

    async def terminate(self) -> None:
        await self.clock.clock.sleep(self.seconds)
        await super().terminate()


class SlowManager(FakeVmManager):
    """Takes its time to sell, and to end what it sold: so many seconds, in the order of buying."""

    def __init__(self, group: ScaleGroup, scene: Scene) -> None:
        super().__init__(group, clock=scene.clock, ids=scene.ids)
        self.scene = scene
        self.create_seconds = 0.0
        self.end_seconds: list[float] = []
        self.left = 1 << 30

    async def create_vm_group(self, tags: Mapping[str, str]) -> FakeVmGroup:
        await self.scene.clock.sleep(self.create_seconds)
        if not self.left:
            self.tags.append(tags)
            raise ResourceExhausted("nothing left")
        self.left -= 1
        made = await super().create_vm_group(tags)
        made.__class__ = SlowGroup
        assert isinstance(made, SlowGroup)
        made.clock = self.scene
        made.seconds = self.end_seconds.pop(0) if self.end_seconds else 0.0
        return made


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    made.settings = replace(SETTINGS, call_timeout=SETTINGS.call_timeout * 10)
    yield made
    if made.autoscaler is not None:
        await made.autoscaler.stop()


def slow_platform(scene: Scene, *, most: int = SLICES) -> SlowManager:
    made = SlowManager(cpu_group(cores=1, most=most), scene)
    scene.managers["cpu"] = made
    return made


async def lose_all(scene: Scene, cpu: SlowManager) -> None:
    """The cloud takes all back."""
    for one in cpu.bought:
        one.set_state(VmState.PREEMPTED)
    await settle()


async def test_54_ends_take_as_long_as_the_slowest(scene: Scene) -> None:
    cpu = slow_platform(scene)
    slow = {5: 100.0, 17: 108.0, 40: 90.0}
    cpu.end_seconds = [slow.get(number, 1.0) for number in range(SLICES)]
    await scene.start()
    await scene.observe(demand(tasks=SLICES))
    await settle(MANY)
    await scene.complete()
    await lose_all(scene, cpu)
    await scene.clock.advance(1.0)
    assert len(cpu.slices) == 3
    await scene.clock.advance(106.9)
    assert len(cpu.slices) == 1
    await scene.clock.advance(0.1)
    assert len(cpu.slices) == 0


async def test_with_few_slots_the_slow_ones_hold_up_no_more_than_theirs(scene: Scene) -> None:
    scene.settings = replace(scene.settings, max_parallel_calls=8)
    cpu = slow_platform(scene)
    cpu.end_seconds = [100.0] * 4 + [1.0] * (SLICES - 4)
    await scene.start()
    await scene.observe(demand(tasks=SLICES))
    await settle(MANY)
    await scene.complete()
    await lose_all(scene, cpu)
    for _ in range(13):  # 50 of them, four at a time
        await scene.clock.advance(1.0)
        await settle(MANY)
    assert len(cpu.slices) == 4


async def test_new_slices_do_not_wait_until_the_old_are_cleared_away(scene: Scene) -> None:
    scene.settings = replace(scene.settings, max_parallel_calls=8)
    cpu = slow_platform(scene)
    cpu.end_seconds = [100.0] * SLICES
    await scene.start()
    await scene.observe(demand(tasks=SLICES))
    await settle(MANY)
    await scene.complete()
    await lose_all(scene, cpu)
    await scene.observe(demand(tasks=SLICES))
    await settle(MANY)
    assert len(cpu.bought) == 2 * SLICES
    assert len(cpu.slices) == 2 * SLICES


async def test_of_a_batch_that_is_refused_only_so_many_calls_are_made(scene: Scene) -> None:
    scene.settings = replace(scene.settings, max_parallel_calls=8)
    cpu = slow_platform(scene, most=100)
    cpu.create_seconds, cpu.left = 1.0, 3
    await scene.start()
    await scene.observe(demand(tasks=100))
    seen = {f"cpu_{number}": SliceOccupancy(1, 1, None) for number in (1, 2, 3)}
    for _ in range(3):
        await scene.clock.advance(1.0)
        await scene.observe(demand(tasks=97), **seen)
        await settle(MANY)
    assert len(cpu.bought) == 3
    # Those that were granted had let others begin before the first refusal was heard.
    at_first = len(cpu.tags)
    assert at_first <= 8 + 3
    for _ in range(3 * int(SETTINGS.interval.total_seconds() + 1)):
        await scene.clock.advance(1.0)
        await settle(MANY)
    assert len(cpu.tags) == at_first + 3


async def test_when_there_is_capacity_again_all_are_asked_for_at_once(scene: Scene) -> None:
    cpu = slow_platform(scene, most=300)
    cpu.create_seconds, cpu.left = 1.0, 0
    await scene.start()
    await scene.observe(demand(tasks=300))
    await scene.clock.advance(1.0)
    assert cpu.bought == []
    cpu.left = 300
    await scene.clock.advance(SETTINGS.interval.total_seconds())
    await scene.clock.advance(1.0)
    assert len(cpu.bought) == 1
    for _ in range(5):  # 299 of them, 64 at a time
        await scene.clock.advance(1.0)
        await settle(MANY)
    assert len(cpu.bought) == 300
