"""Things that are broken on purpose, to see what comes of it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from iris.model.errors import InvalidArgument


class FaultKind(Enum):
    """What is done, and to what."""

    FAIL = "fail"  # the next slices of a scale group do not come up
    DELAY = "delay"  # they come up later
    REFUSE = "refuse"  # the platform has none to give
    PREEMPT = "preempt"  # a slice is taken back, all at once and without a word
    KILL = "kill"  # a VM dies, as a machine that loses its power

    @property
    def is_for_slices_to_come(self) -> bool:
        """Whether its target is a scale group, whose next slices it waits for."""
        return self in (FaultKind.FAIL, FaultKind.DELAY, FaultKind.REFUSE)


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them. Raises InvalidArgument for what makes no sense.

    Attributes:
        target: A scale group (FAIL, DELAY, REFUSE), a slice (PREEMPT) or a VM (KILL).
        count: Of how many slices to come; 1 for one that exists.
        delay: How much later a slice comes up; of DELAY only.
    """

    kind: FaultKind
    target: str
    count: int = 1
    delay: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        kind = self.kind
        if not self.target:
            raise InvalidArgument(f"The fault {kind.value!r} has no target.", hint=_TARGETS)
        if self.count < 1 or (self.count > 1 and not kind.is_for_slices_to_come):
            raise InvalidArgument(
                f"{self.count} is no count for the fault {kind.value!r}.",
                hint="At least 1, and 1 for a slice or a VM that exists.",
            )
        if (self.delay > timedelta(0)) != (kind is FaultKind.DELAY):
            raise InvalidArgument(
                f"The fault {kind.value!r} with a delay of {self.delay.total_seconds():g} s makes no sense.",
                hint="A delay belongs to 'delay', which needs one.",
            )


_TARGETS = "A scale group for fail, delay and refuse; a slice for preempt; a VM for kill."
