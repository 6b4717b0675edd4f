"""Constraints hold or not, and refuse to be made wrongly."""

import pytest

from iris.model.constraints import Constraint, ConstraintOp, preferred, required
from iris.model.errors import InvalidArgument

WORKER = {"zone": "eu", "empty": "", "memory-gb": "64", "speed": "-2.5", "odd": "inf"}


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
        (Constraint("memory-gb", ConstraintOp.GT, ("63.9",)), True),
        (Constraint("memory-gb", ConstraintOp.GT, ("64",)), False),
        (Constraint("memory-gb", ConstraintOp.GE, ("64.0",)), True),
        (Constraint("memory-gb", ConstraintOp.GE, ("64.0000000000000001",)), False),
        (Constraint("memory-gb", ConstraintOp.LT, ("100",)), True),  # as text it would be larger
        (Constraint("memory-gb", ConstraintOp.LT, ("64",)), False),
        (Constraint("memory-gb", ConstraintOp.LE, ("6.4e1",)), True),
        (Constraint("memory-gb", ConstraintOp.LE, ("9",)), False),
        (Constraint("speed", ConstraintOp.LT, ("-2",)), True),
        *(
            (Constraint(attribute, op, ("0",)), False)
            for attribute in ("zone", "empty", "odd", "missing")
            for op in (ConstraintOp.GT, ConstraintOp.GE, ConstraintOp.LT, ConstraintOp.LE)
        ),
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
        (Constraint("memory-gb", ConstraintOp.GE, ("64",)), "memory-gb >= 64"),
        (Constraint("memory-gb", ConstraintOp.LT, ("64",)), "memory-gb < 64"),
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
        (ConstraintOp.GT, 0),
        (ConstraintOp.LE, 2),
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


@pytest.mark.parametrize("op", [ConstraintOp.GT, ConstraintOp.GE, ConstraintOp.LT, ConstraintOp.LE])
@pytest.mark.parametrize("limit", ["", "many", "64GB", "nan", "inf", "-Infinity"])
def test_compares_by_size_only_with_a_number(op: ConstraintOp, limit: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        Constraint("memory-gb", op, (limit,))
    assert f"memory-gb {op.value} compares with {limit!r}" in refusal.value.problem
    assert refusal.value.hint


def test_a_rule_has_to_hold_unless_it_is_a_preference() -> None:
    must = Constraint("zone", ConstraintOp.EXISTS)
    should = Constraint("disk", ConstraintOp.EXISTS, required=False)
    assert must.required
    assert required([should, must]) == (must,)
    assert preferred([should, must]) == (should,)
    assert not should.holds(WORKER), "what is only preferred is judged alike"
