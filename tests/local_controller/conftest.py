"""What all tests of this room share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.testing.leaks import LeakCheck


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Every test ends with no process, port or thread more than it began with."""
    with LeakCheck():
        yield


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Where a cluster may keep its state; not made yet."""
    return tmp_path / "state"
