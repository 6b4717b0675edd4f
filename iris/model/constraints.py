"""Rules over a worker's attributes that have to hold for a task to run there."""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum

from iris.model.errors import InvalidArgument


class ConstraintOp(Enum):
    """How an attribute is compared."""

    EQ = "="
    NE = "!="
    EXISTS = "exists"
    NOT_EXISTS = "does not exist"
    IN = "in"
    GT = ">"
    GE = ">="
    LT = "<"
    LE = "<="


_COMPARE: Mapping[ConstraintOp, Callable[[Decimal, Decimal], bool]] = {
    ConstraintOp.GT: operator.gt,
    ConstraintOp.GE: operator.ge,
    ConstraintOp.LT: operator.lt,
    ConstraintOp.LE: operator.le,
}
_VALUES_NEEDED = {
    ConstraintOp.EQ: (1, 1),
    ConstraintOp.NE: (1, 1),
    ConstraintOp.EXISTS: (0, 0),
    ConstraintOp.NOT_EXISTS: (0, 0),
    ConstraintOp.IN: (1, 1000),
    **dict.fromkeys(_COMPARE, (1, 1)),
}


def _number(text: str) -> Decimal | None:
    """A finite decimal number, or None."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


@dataclass(frozen=True, slots=True)
class Constraint:
    """One rule.

    Raises InvalidArgument when the number of values does not suit the operator, or an operator that
    compares by size is given what is no number.

    Attributes:
        required: Otherwise it is a preference: of the workers that fit, those that satisfy more
            preferences are taken first.
    """

    attribute: str
    op: ConstraintOp
    values: tuple[str, ...] = ()
    required: bool = True

    def __post_init__(self) -> None:
        if not self.attribute:
            raise InvalidArgument(
                "A constraint names no attribute.", hint="Say which attribute it is about."
            )
        low, high = _VALUES_NEEDED[self.op]
        if not low <= len(self.values) <= high:
            wanted = str(low) if low == high else f"{low} to {high}"
            raise InvalidArgument(
                f"The constraint {self.attribute} {self.op.name} has {len(self.values)} values.",
                hint=f"{self.op.name} takes {wanted}.",
            )
        if self.op in _COMPARE and _number(self.values[0]) is None:
            raise InvalidArgument(
                f"The constraint {self.attribute} {self.op.value} compares with {self.values[0]!r}.",
                hint="Operators that compare by size take a decimal number.",
            )

    def holds(self, attributes: Mapping[str, str]) -> bool:
        """Whether a worker with these attributes satisfies the rule.

        A missing attribute equals nothing. Compared by size, numbers are compared as numbers; what
        is no number is neither larger nor smaller.
        """
        value = attributes.get(self.attribute)
        match self.op:
            case ConstraintOp.EQ | ConstraintOp.IN:
                return value in self.values
            case ConstraintOp.NE:
                return value not in self.values
            case ConstraintOp.EXISTS:
                return value is not None
            case ConstraintOp.NOT_EXISTS:
                return value is None
            case _:
                there, limit = _number(value or ""), _number(self.values[0])
                return there is not None and limit is not None and _COMPARE[self.op](there, limit)

    def __str__(self) -> str:
        match self.op:
            case ConstraintOp.IN:
                return f"{self.attribute} in ({', '.join(self.values)})"
            case ConstraintOp.EXISTS | ConstraintOp.NOT_EXISTS:
                return f"{self.attribute} {self.op.value}"
            case _:
                return f"{self.attribute} {self.op.value} {self.values[0]}"


def required(constraints: Iterable[Constraint]) -> tuple[Constraint, ...]:
    """Those that have to hold."""
    return tuple(rule for rule in constraints if rule.required)


def preferred(constraints: Iterable[Constraint]) -> tuple[Constraint, ...]:
    """Those that only should."""
    return tuple(rule for rule in constraints if not rule.required)
