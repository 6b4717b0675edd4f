"""What is said to the garbage collector holds for the whole process."""

import gc
from collections.abc import Iterator

import pytest

from iris.host.garbage import look_for_garbage_rarely


@pytest.fixture(autouse=True)
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_it_looks_less_often_but_still_looks() -> None:
    before = gc.get_threshold()
    look_for_garbage_rarely()
    assert gc.get_threshold() > before
    assert gc.isenabled()
