"""What the simulated cloud tells of calls whose caller did not live to hear their end."""

from pathlib import Path

import pytest

from iris.model.errors import DeadlineExceeded
from iris.model.fleet import ScaleGroup
from iris.model.resources import Resources
from iris.simulation.cloud import Cloud, SimulatedSlice
from iris.simulation.scenario import Scenario
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
