"""Constraints hold or not, and refuse to be made wrongly."""

import pytest

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.errors import InvalidArgument

WORKER = {"zone": "eu", "empty": ""}


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        (Constraint("zone", ConstraintOp.EQ, ("eu",)), True),
        (Constraint("zone", ConstraintOp.EQ, ("us",)), False),
        (Constraint("disk", ConstraintOp.EQ, ("ssd",)), False),
        (Constraint("zone", ConstraintOp.NE, ("us",)), True),
        (Constraint("zone", ConstraintOp.NE, ("eu",)), False),
        (Constraint("disk", ConstraintOp.NE, ("ssd",)), True),
        (Constraint("zone", ConstraintOp.IN, ("us", "eu")), True),
        (Constraint("zone", ConstraintOp.IN, ("us",)), False),
        (Constraint("disk", ConstraintOp.IN, ("ssd", "hdd")), False),
        (Constraint("zone", ConstraintOp.EXISTS), True),
        (Constraint("empty", ConstraintOp.EXISTS), True),
        (Constraint("disk", ConstraintOp.EXISTS), False),
        (Constraint("zone", ConstraintOp.NOT_EXISTS), False),
        (Constraint("disk", ConstraintOp.NOT_EXISTS), True),
        (Constraint("empty", ConstraintOp.EQ, ("",)), True),
        (Constraint("disk", ConstraintOp.EQ, ("",)), False),
    ],
    ids=str,
)
def test_holds(constraint: Constraint, holds: bool) -> None:
    assert constraint.holds(WORKER) is holds


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (Constraint("zone", ConstraintOp.EQ, ("eu",)), "zone = eu"),
        (Constraint("zone", ConstraintOp.NE, ("eu",)), "zone != eu"),
        (Constraint("zone", ConstraintOp.IN, ("eu", "us")), "zone in (eu, us)"),
        (Constraint("zone", ConstraintOp.EXISTS), "zone exists"),
        (Constraint("zone", ConstraintOp.NOT_EXISTS), "zone does not exist"),
    ],
)
def test_reads_as_text(constraint: Constraint, text: str) -> None:
    assert str(constraint) == text


@pytest.mark.parametrize(
    ("op", "count"),
    [
        (ConstraintOp.EQ, 0),
        (ConstraintOp.EQ, 2),
        (ConstraintOp.NE, 0),
        (ConstraintOp.NE, 2),
        (ConstraintOp.IN, 0),
        (ConstraintOp.IN, 1001),
        (ConstraintOp.EXISTS, 1),
        (ConstraintOp.NOT_EXISTS, 1),
    ],
)
def test_refuses_the_wrong_number_of_values(op: ConstraintOp, count: int) -> None:
    with pytest.raises(InvalidArgument, match=f"{op.name} has {count} values") as refusal:
        Constraint("zone", op, ("x",) * count)
    assert refusal.value.hint


def test_refuses_no_attribute() -> None:
    with pytest.raises(InvalidArgument):
        Constraint("", ConstraintOp.EXISTS)
