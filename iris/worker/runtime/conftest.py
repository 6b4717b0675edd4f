"""What all tests of the runtime share."""

import os
from collections.abc import AsyncIterator

import pytest

from iris.worker.runtime import process_tree
from iris.worker.runtime.containment import ALL_TIERS, CGROUPS, NAMESPACES
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.runtime.trees_fixture import groups_left, missing_tiers, open_fds

_CHOICES = {
    "all": ALL_TIERS,
    "cgroups": frozenset({CGROUPS}),
    "namespaces": frozenset({NAMESPACES}),
    "walk": frozenset(),
}


@pytest.fixture(params=_CHOICES)
def tiers(request: pytest.FixtureRequest) -> frozenset[str]:
    """Every choice of means that this machine has; what it has not is said."""
    chosen = _CHOICES[request.param]
    if missing := missing_tiers(chosen):
        pytest.skip(f"this machine has no {' and no '.join(sorted(missing))} for us")
    return chosen


@pytest.fixture
async def runtime(tiers: frozenset[str]) -> AsyncIterator[ProcessRuntime]:
    """A runtime that has to leave no process, no group and no descriptor."""
    before = set(process_tree.children_of(os.getpid()))
    runtime = ProcessRuntime(tiers=tiers)
    fds = open_fds()
    yield runtime
    await runtime.close()
    assert set(process_tree.children_of(os.getpid())) <= before
    assert open_fds() == fds
    assert groups_left() == []
