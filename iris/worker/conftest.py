"""What all tests of this room share."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iris.worker.runtime import process_tree
from iris.worker.worker_fixture import Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    children = set(process_tree.children_of(os.getpid()))
    bench = Bench(tmp_path)
    await bench.controller.start()
    yield bench
    await bench.close()
    assert set(process_tree.children_of(os.getpid())) <= children
