"""What makes no sense as a fault is refused where it is made."""

from datetime import timedelta

import pytest

from iris.model.errors import InvalidArgument
from iris.model.faults import Fault, FaultKind

LATER = timedelta(seconds=5)


@pytest.mark.parametrize("kind", FaultKind)
def test_each_kind_can_be_asked_for(kind: FaultKind) -> None:
    delay = LATER if kind is FaultKind.DELAY else timedelta(0)
    assert Fault(kind, "cpu", delay=delay).count == 1


@pytest.mark.parametrize(
    ("kind", "target", "count", "delay"),
    [
        (FaultKind.KILL, "", 1, timedelta(0)),
        (FaultKind.FAIL, "cpu", 0, timedelta(0)),
        (FaultKind.KILL, "cpu-1/0", 2, timedelta(0)),
        (FaultKind.PREEMPT, "cpu-1", 2, timedelta(0)),
        (FaultKind.DELAY, "cpu", 1, timedelta(0)),
        (FaultKind.DELAY, "cpu", 1, -LATER),
        (FaultKind.FAIL, "cpu", 1, LATER),
    ],
)
def test_nonsense_is_refused(kind: FaultKind, target: str, count: int, delay: timedelta) -> None:
    with pytest.raises(InvalidArgument):
        Fault(kind, target, count, delay)
