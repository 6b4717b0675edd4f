"""What all tests of the runtime share."""

import os
from collections.abc import AsyncIterator

import pytest

from iris.worker.runtime import process_tree
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.runtime.trees_fixture import open_fds


@pytest.fixture
async def runtime() -> AsyncIterator[ProcessRuntime]:
    """A runtime that has to leave no process and no descriptor."""
    before = set(process_tree.children_of(os.getpid()))
    runtime = ProcessRuntime()
    fds = open_fds()
    yield runtime
    await runtime.close()
    assert set(process_tree.children_of(os.getpid())) <= before
    assert open_fds() == fds
