"""What all tests of this folder share."""

from collections.abc import Iterator

import pytest

from iris.testing.leaks import LeakCheck


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Every test ends with no process, port, socket or thread more than it began with."""
    with LeakCheck():
        yield
