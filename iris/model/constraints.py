"""Rules over a worker's attributes that have to hold for a task to run there."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from iris.model.errors import InvalidArgument


class ConstraintOp(Enum):
    """How an attribute is compared."""

    EQ = "="
    NE = "!="
    EXISTS = "exists"
    NOT_EXISTS = "does not exist"
    IN = "in"


_VALUES_NEEDED = {
    ConstraintOp.EQ: (1, 1),
    ConstraintOp.NE: (1, 1),
    ConstraintOp.EXISTS: (0, 0),
    ConstraintOp.NOT_EXISTS: (0, 0),
    ConstraintOp.IN: (1, 1000),
}


@dataclass(frozen=True, slots=True)
class Constraint:
    """One rule. Raises InvalidArgument when the number of values does not suit the operator."""

    attribute: str
    op: ConstraintOp
    values: tuple[str, ...] = ()

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

    def holds(self, attributes: Mapping[str, str]) -> bool:
        """Whether a worker with these attributes satisfies the rule. A missing attribute equals nothing."""
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

    def __str__(self) -> str:
        match self.op:
            case ConstraintOp.IN:
                return f"{self.attribute} in ({', '.join(self.values)})"
            case ConstraintOp.EXISTS | ConstraintOp.NOT_EXISTS:
                return f"{self.attribute} {self.op.value}"
            case _:
                return f"{self.attribute} {self.op.value} {self.values[0]}"
