"""What the simulated cloud tells of calls whose caller did not live to hear their end, and how it
fails.
"""

from pathlib import Path

import pytest

from iris.model.errors import DeadlineExceeded
from iris.model.fleet import ScaleGroup, VmState
from iris.model.resources import Resources
from iris.simulation.cloud import Cloud, SimulatedSlice
from iris.simulation.scenario import Fault, FaultKind, Scenario
from iris.simulation.world import World

LATE = 10_000.0


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """In which every call takes too long."""
    monkeypatch.setattr(Cloud, "_call_seconds", lambda cloud: LATE)
    group = ScaleGroup("cpu", "simulated", Resources(1_000))
    return World(Scenario(0, (group,), ()), tmp_path, checkers=lambda evidence: [])


def over(world: World) -> None:
    """Every call has come to its end."""
    while world.agenda.now <= LATE and world.agenda.step():
        pass


def test_a_call_that_times_out_fails(world: World) -> None:
    heard: list[object] = []
    world.cloud.create("cpu", heard.append)
    over(world)
    assert [type(answer) for answer in heard] == [DeadlineExceeded]
    assert [name for name, *_ in world.cloud.failed_calls] == ["cpu"]


def test_nobody_knows_of_one_whose_caller_died_before(world: World) -> None:
    heard: list[SimulatedSlice | Exception] = []
    world.cloud.create("cpu", lambda answer: None)
    world.cloud.caller_died()
    world.cloud.create("cpu", heard.append)
    over(world)
    assert len(heard) == 1
    assert len(world.cloud.failed_calls) == 1


def bought(folder: Path, fault: Fault, slices: int, until: float) -> tuple[World, list[object]]:
    """A world in which somebody asks for so many slices once the fault is there."""
    group = ScaleGroup("cpu", "simulated", Resources(1_000), max_slices=10)
    world = World(Scenario(0, (group,), (), (fault,)), folder, checkers=lambda evidence: [])
    heard: list[object] = []

    def ask() -> None:
        for _ in range(slices):
            world.cloud.create("cpu", heard.append)

    world.agenda.at(1.0, ask)
    while world.agenda.now < until and world.agenda.step():
        pass
    return world, heard


def test_scarce_slices_are_sold_up_to_a_share(tmp_path: Path) -> None:
    fault = Fault("scarce", FaultKind.SCARCE_SLICES, 0.0, 60.0, 0.6)
    world, heard = bought(tmp_path, fault, 6, until=10.0)
    assert sum(isinstance(one, SimulatedSlice) for one in heard) == 4
    assert world.cloud.refused == {"cpu"}
    assert sorted(call.what for call in world.cloud.calls) == sorted(
        ["asked"] * 6 + ["granted"] * 4 + ["refused"] * 2
    )


def test_short_lived_slices_come_up_and_are_taken_back(tmp_path: Path) -> None:
    fault = Fault("short", FaultKind.SHORT_LIVED_SLICES, 0.0, 10.0, 1.0)
    world, heard = bought(tmp_path, fault, 3, until=120.0)
    assert [one.state for one in heard if isinstance(one, SimulatedSlice)] == [
        VmState.PREEMPTED
    ] * 3
    assert all(vm.starts == 1 for one in world.cloud.slices.values() for vm in one.vms_now)
    assert world.cloud.counts.short_lived == 3
