"""What becomes of the details that a worker tells of an attempt."""

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from iris.controller.state import events
from iris.controller.state.records import Usage
from iris.controller.state.scenario import START, Scenario, spec
from iris.model.ids import WorkerId
from iris.model.states import TaskState

BUILDING, RUNNING, FAILED = TaskState.BUILDING, TaskState.RUNNING, TaskState.FAILED
BEGAN, ENDED = START + timedelta(seconds=3), START + timedelta(seconds=7)
PORTS = (("http", 8080),)
EVERYTHING = {
    "exit_code": 3,
    "signal": 9,
    "error": "out of memory",
    "started_at": BEGAN,
    "finished_at": ENDED,
    "usage": Usage(cpu_seconds=1.5, peak_memory_bytes=7),
    "ports": PORTS,
}


@pytest.fixture
def world() -> Scenario:
    """One attempt that has not begun; the controller's clock is ahead of its worker's."""
    world = Scenario()
    world.attach("w1")
    world.submit(spec())
    world.assign((0, "w1"))
    world.now += timedelta(seconds=10)
    return world


def tell(world: Scenario, state: TaskState, **details: Any) -> None:
    seen = events.Observation(world.uid(0), state, **details)
    world.apply(events.AttemptObserved(world.now, WorkerId("w1"), "one", seen, 0.5))


def known(world: Scenario) -> dict[str, object]:
    """Of those in EVERYTHING."""
    attempt = world.attempt(world.uid(0))
    return {name: getattr(attempt, name) for name in EVERYTHING}


def test_all_that_can_be_told_is_looked_at_here() -> None:
    names = {field.name for field in fields(events.Observation)}
    assert names == {*EVERYTHING, "attempt_uid", "state", "logs_complete"}


def test_the_end_alone_tells_everything(world: Scenario) -> None:
    tell(world, FAILED, **EVERYTHING)
    assert known(world) == EVERYTHING
    assert world.job().record.started_at == BEGAN
    assert world.job().record.finished_at == world.now, "when it was known"


def test_what_was_told_before_need_not_be_told_again(world: Scenario) -> None:
    tell(world, RUNNING, started_at=BEGAN, ports=PORTS)
    assert (known(world)["started_at"], known(world)["ports"]) == (BEGAN, PORTS)
    assert world.job().record.started_at == BEGAN
    tell(world, RUNNING)
    assert (known(world)["started_at"], known(world)["ports"]) == (BEGAN, PORTS)
    rest = {name: EVERYTHING[name] for name in EVERYTHING if name not in ("started_at", "ports")}
    tell(world, FAILED, **rest)
    assert known(world) == EVERYTHING


def test_what_is_told_again_goes_before_what_was_told(world: Scenario) -> None:
    tell(world, RUNNING, started_at=START, ports=(("http", 1),))
    tell(world, RUNNING, started_at=BEGAN, ports=PORTS)
    assert (known(world)["started_at"], known(world)["ports"]) == (BEGAN, PORTS)
    later = BEGAN + timedelta(seconds=1)
    tell(world, FAILED, started_at=later, ports=(("http", 2),))
    assert (known(world)["started_at"], known(world)["ports"]) == (later, (("http", 2),))


def test_what_is_never_told(world: Scenario) -> None:
    tell(world, BUILDING)
    assert known(world) == dict.fromkeys(EVERYTHING) | {"error": "", "ports": ()}
    tell(world, RUNNING)
    assert known(world)["started_at"] is None
    assert world.job().record.started_at == world.now, "it runs"
    tell(world, FAILED)
    assert known(world)["finished_at"] == world.now
    assert known(world)["started_at"] is None


@pytest.mark.parametrize(
    ("complete", "error", "text"),
    [
        (True, "", ""),
        (True, "why", "why"),
        (False, "", "log lines may be missing"),
        (False, "why", "why; log lines may be missing"),
    ],
)
def test_missing_log_lines_are_said(world: Scenario, complete: bool, error: str, text: str) -> None:
    tell(world, FAILED, error=error, logs_complete=complete)
    assert world.attempt(world.uid(0)).error == text
    assert world.attempt(world.uid(0)).logs_complete is complete
