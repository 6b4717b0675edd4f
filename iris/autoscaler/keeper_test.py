"""What the autoscaler knows of its groups outlives it."""

from collections.abc import AsyncIterator

import pytest

from iris.autoscaler.autoscaler import Autoscaler
from iris.autoscaler.demand import ScalingAction, ScalingReason, SliceOccupancy
from iris.autoscaler.memory import GroupMemory
from iris.autoscaler.scaling_cases import SETTINGS, cpu_group, demand
from iris.autoscaler.scene_fixture import Scene, until
from iris.model.errors import ResourceExhausted, Unavailable
from iris.model.fleet import VmState
from iris.testing.clock import settle


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    if made.autoscaler is not None:
        await made.autoscaler.stop()


def kept(scene: Scene, group: str = "cpu") -> GroupMemory:
    return GroupMemory.from_bytes(scene.memory.records[group])


async def test_a_restart_does_not_end_the_rest_after_failed_boots(scene: Scene) -> None:
    cpu = scene.platform(cpu_group())
    cpu.create_errors = [Unavailable("no stock")] * 2
    await scene.start()
    await scene.observe(demand())
    await scene.clock.advance(5)
    assert (len(cpu.tags), kept(scene).backoff.failures) == (2, 2)
    await scene.restart()
    await scene.observe(demand())
    await scene.clock.advance(9)
    assert len(cpu.tags) == 2
    await scene.clock.advance(1)
    assert len(cpu.tags) == 3


async def test_nor_a_refusal(scene: Scene) -> None:
    cpu = scene.platform(cpu_group())
    cpu.create_errors = [ResourceExhausted("0 of 8 left")]
    await scene.start()
    await scene.observe(demand())
    await scene.restart()
    await scene.observe(demand())
    assert len(cpu.tags) == 1
    assert [one.reason for one in scene.decisions(ScalingAction.HOLD)] == [ScalingReason.QUOTA]
    await scene.clock.advance(SETTINGS.interval.total_seconds())
    assert len(cpu.tags) == 2


async def test_a_slice_that_was_up_is_lost_and_did_not_fail_to_boot(scene: Scene) -> None:
    cpu = scene.platform(cpu_group())
    await scene.start()
    await scene.observe(demand())
    await scene.complete()
    await scene.restart()
    cpu.bought[0].set_state(VmState.PREEMPTED)
    await settle()
    assert [one.reason for one in scene.decisions(ScalingAction.SCALE_DOWN)] == [
        ScalingReason.SLICE_LOST
    ]
    assert kept(scene).backoff.failures == 0


async def test_nothing_is_saved_while_nothing_changes(scene: Scene) -> None:
    scene.platform(cpu_group())
    await scene.start()
    await scene.observe(demand())
    await scene.complete(demand())
    saves = scene.memory.saves
    for _ in range(5):
        await scene.observe(demand(), cpu_1=SliceOccupancy(1, 1, None))
    assert scene.memory.saves == saves > 0


async def test_changes_that_come_together_are_saved_together(scene: Scene) -> None:
    scene.platform(cpu_group(cores=1, most=90))
    await scene.start()
    await scene.observe(demand(tasks=90))
    before = scene.memory.saves
    await scene.complete()
    assert len(kept(scene).booted) == 90
    assert scene.memory.saves - before <= 3


async def test_what_cannot_be_saved_is_saved_later(scene: Scene) -> None:
    scene.platform(cpu_group())
    await scene.start()
    scene.memory.broken = True
    await scene.observe(demand())
    await scene.complete()
    assert scene.memory.records == {}
    scene.memory.broken = False
    await scene.clock.advance(SETTINGS.backoff_min.total_seconds())
    await until(lambda: list(scene.memory.records) == ["cpu"])
    assert list(kept(scene).booted) == ["cpu-1"]


async def test_the_last_change_is_saved_at_the_end(scene: Scene) -> None:
    scene.platform(cpu_group())
    autoscaler = await scene.start()
    scene.memory.broken = True
    await scene.observe(demand())
    scene.memory.broken = False
    await autoscaler.stop()
    assert kept(scene).pace.taken_until is not None


@pytest.mark.parametrize("trouble", ["unreadable", "unavailable"])
async def test_what_cannot_be_read_is_forgotten(scene: Scene, trouble: str) -> None:
    cpu = scene.platform(cpu_group())
    scene.memory.records["cpu"] = b"{"
    scene.memory.broken = trouble == "unavailable"
    await scene.start()
    await scene.observe(demand())
    assert len(cpu.bought) == 1


async def test_groups_that_are_gone_are_passed_over(scene: Scene) -> None:
    cpu = scene.platform(cpu_group())
    scene.memory.records["gpu"] = GroupMemory().to_bytes()
    await scene.start()
    await scene.observe(demand())
    assert len(cpu.bought) == 1


async def test_it_does_without(scene: Scene) -> None:
    cpu = scene.platform(cpu_group())
    autoscaler = Autoscaler([cpu], SETTINGS, clock=scene.clock, ids=scene.ids)
    scene.autoscaler = autoscaler
    await autoscaler.start(scene.fleet)
    await scene.observe(demand())
    assert len(cpu.bought) == 1
