"""Each of the invariants notices when it does not hold."""

import ast
import inspect
import traceback
from collections.abc import Callable

import pytest

from iris.controller.state import invariants
from iris.controller.state.effects import Effects
from iris.controller.state.scenario import JOB
from iris.controller.state.spoiled_state_fixture import (
    GHOST,
    SPOILED,
    an_attempt_has_lost_its_place,
    build,
    free_is_wrong,
)
from iris.model.ids import JobId, WorkerId

TOUCHED = Effects(jobs={JobId(JOB): None})
GONE = Effects(jobs={JobId("/alice/gone"): None})


def failing_line(check: Callable[[], None]) -> int:
    """Where in the module it fails."""
    with pytest.raises(AssertionError) as caught:
        check()
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename == inspect.getsourcefile(invariants)
    assert last.lineno is not None
    return last.lineno


def test_what_is_not_spoiled_holds() -> None:
    invariants.check(build().state)


@pytest.mark.parametrize("name", SPOILED)
def test_it_is_noticed(name: str) -> None:
    world = build()
    SPOILED[name](world)
    with pytest.raises(AssertionError):
        invariants.check(world.state)


def test_what_a_turn_touched_is_looked_at() -> None:
    world = build()
    invariants.check_touched(world.state, TOUCHED)
    told = Effects(stop={(WorkerId("w1"), GHOST): None})
    free_is_wrong(world)
    invariants.check_touched(world.state, TOUCHED)
    with pytest.raises(AssertionError, match="w1"):
        invariants.check_touched(world.state, told)


def test_every_assertion_has_been_seen_to_fail() -> None:
    lines: dict[str, int] = {}
    for name, spoil in SPOILED.items():
        world = build()
        spoil(world)
        lines[name] = failing_line(lambda world=world: invariants.check(world.state))
    world = build()
    an_attempt_has_lost_its_place(world)
    for touched in (TOUCHED, GONE):
        lines[repr(touched)] = failing_line(
            lambda touched=touched: invariants.check_touched(world.state, touched)
        )
    unseen = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(inspect.getsource(invariants)))
        if isinstance(node, ast.Assert)
        and not any(node.lineno <= line <= (node.end_lineno or 0) for line in lines.values())
    ]
    assert not unseen
    assert len(set(lines.values())) == len(lines), "each is for another assertion"
