"""A slice's VMs go along the table, whatever platform and workers say; who waits hears of it."""

import asyncio

import pytest

from iris.model.errors import Internal
from iris.model.fleet import VmPhase, VmState
from iris.model.ids import WorkerId
from iris.platforms.init_log import InitLogs
from iris.platforms.vm_lives import VmLives
from iris.testing.clock import FakeClock

READY, UNHEALTHY = VmState.READY, VmState.UNHEALTHY
FULL = {WorkerId("s/1"): "disk: full"}


class World:
    """A slice of two."""

    def __init__(self, *, found: bool = False) -> None:
        self.clock = FakeClock()
        self.logs = InitLogs(self.clock.now)
        self.lives = VmLives(["s/0", "s/1"], self.clock.now, self.logs, found=found)

    def come_up(self) -> None:
        for state in (VmState.BOOTING, VmState.INITIALIZING, READY):
            for index in range(2):
                self.lives.set(index, state)


@pytest.fixture
def world() -> World:
    return World()


def test_what_cannot_follow_is_refused_and_changes_nothing(world: World) -> None:
    with pytest.raises(Internal, match="requesting cannot become ready"):
        world.lives.set(0, READY)
    assert world.lives.status() is VmState.REQUESTING
    world.come_up()
    assert world.lives.status() is READY


def test_a_vm_tells_its_phases_and_what_is_done_there(world: World) -> None:
    began = world.clock.now()
    world.lives.step(0, "connecting to host1")
    world.lives.set(0, VmState.BOOTING)
    first, second = world.lives.vms(["host1", ""])
    assert (first.vm_id, first.worker_id, first.address) == ("s/0", "s/0", "host1")
    assert first.step == "connecting to host1"
    assert first.phases == (VmPhase(VmState.REQUESTING, began), VmPhase(VmState.BOOTING, began))
    assert second.step == ""
    world.lives.set(0, VmState.FAILED, "no disk")
    first, _ = world.lives.vms(["host1", ""])
    assert (first.step, first.problem) == ("", "no disk"), "nothing is done there any more"
    said = [line.split(" ", 1)[1] for line in world.logs.find("s/0").said()]
    assert said == ["connecting to host1", "booting", "failed: no disk"]


def test_one_that_is_lost_loses_the_slice_and_says_why(world: World) -> None:
    world.come_up()
    world.lives.set(1, VmState.FAILED, "it was killed")
    assert world.lives.status() is VmState.FAILED
    assert world.lives.problem() == "s/1: it was killed"


def test_a_worker_s_word_makes_it_unhealthy_and_well_again(world: World) -> None:
    world.come_up()
    world.lives.note_health(FULL)
    assert world.lives.states == (READY, UNHEALTHY)
    assert world.lives.problem() == "s/1: disk: full"
    world.lives.note_health({WorkerId("s/1"): "disk: full; memory: 1 MiB"})
    assert world.lives.problem() == "s/1: disk: full; memory: 1 MiB"
    world.lives.note_health({})
    assert world.lives.status() is READY
    assert world.lives.problem() == ""


def test_a_worker_that_is_not_well_from_the_start_is_never_ready(world: World) -> None:
    world.lives.set(1, VmState.BOOTING)
    world.lives.note_health(FULL)
    assert world.lives.states[1] is VmState.BOOTING
    world.lives.set(1, VmState.INITIALIZING)
    world.lives.set(1, READY)
    assert world.lives.states[1] is UNHEALTHY


def test_the_platform_s_word_and_the_worker_s_count_both(world: World) -> None:
    world.come_up()
    world.lives.note_health(FULL)
    world.lives.set(1, UNHEALTHY, "host1 is out of reach")
    assert world.lives.problem() == "s/1: host1 is out of reach; disk: full"
    world.lives.note_health({})
    assert world.lives.problem() == "s/1: host1 is out of reach"
    world.lives.set(1, READY)
    assert world.lives.status() is READY


def test_what_a_worker_said_says_nothing_about_a_vm_that_goes(world: World) -> None:
    world.come_up()
    world.lives.note_health(FULL)
    world.lives.set(1, VmState.STOPPING)
    world.lives.note_health({})
    world.lives.set(1, VmState.TERMINATED)
    assert world.lives.states[1] is VmState.TERMINATED


def test_one_that_was_found_is_not_ready_before_it_was_heard_of() -> None:
    world = World(found=True)
    assert world.lives.status() is UNHEALTHY
    world.lives.set(0, READY)
    world.lives.set(1, VmState.FAILED, "it was not found")
    assert world.lives.status() is VmState.FAILED


async def test_who_waits_hears_of_changes_and_of_nothing_else(world: World) -> None:
    world.come_up()
    waiting = asyncio.create_task(world.lives.wait_changed())
    await asyncio.sleep(0)
    world.lives.set(0, READY)
    world.lives.note_health({WorkerId("another"): "disk: full"})
    await asyncio.sleep(0)
    assert not waiting.done()
    world.lives.note_health(FULL)
    async with asyncio.timeout(30):
        await waiting


def test_the_log_outlives_the_slice(world: World) -> None:
    world.come_up()
    world.lives.forget()
    assert world.logs.find("s/1").said()[-1].endswith(" ready")
