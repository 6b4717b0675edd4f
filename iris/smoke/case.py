"""What a smoke case is, what it leaves behind, and how it says that something is not as it should be."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iris.smoke.context import CaseContext


class Phase(Enum):
    """When a case runs. The cases of one phase run at once; a phase begins when the one before it is over."""

    BOOT = 1
    WORK = 2
    CRASH = 3  # the controller dies and comes back
    RELOAD = 4  # the controller is replaced in good order
    SETTLE = 5  # about what is left once the work is done
    TEARDOWN = 6  # after the cluster has been stopped


# A phase in which nothing is left to do for a case that was chosen is passed over.
PHASES_WITH_CLUSTER = (Phase.BOOT, Phase.WORK, Phase.CRASH, Phase.RELOAD, Phase.SETTLE)


class Verdict(Enum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"  # something was not as it should be
    ERROR = "error"  # the case itself broke
    TIMEOUT = "timeout"  # its own deadline, or the whole flow's
    SKIPPED = "skipped"  # the cluster lacks what it needs; the reason is given
    NOT_RUN = "not run"  # the flow ended before its turn

    @property
    def is_good(self) -> bool:
        """Whether the flow as a whole may still pass."""
        return self in (Verdict.PASSED, Verdict.SKIPPED)


class CheckFailed(AssertionError):
    """An expectation did not hold. The message names what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that has to work.

    Attributes:
        what: For people: what is proved.
        needs: What the cluster has to offer, by name; where it is lacking the case is skipped with that reason.
        run: Raises CheckFailed where something is wrong; records its evidence in the context.
    """

    name: str
    what: str
    run: Callable[["CaseContext"], Awaitable[None]]
    phase: Phase = Phase.WORK
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observed fact: that work really ran, not that it was merely accepted."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was done to the cluster on purpose, for the timeline: a fault, mostly.

    Attributes:
        at: When, as a time of day.
        subject: The slice, worker or attempt that it was done to; empty: the whole cluster.
    """

    at: datetime
    case: str
    what: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went. Times are seconds since the flow began."""

    name: str
    what: str
    verdict: Verdict
    started: float = 0.0
    ended: float = 0.0
    problem: str = ""
    evidence: tuple[Evidence, ...] = ()
    log_lines: tuple[str, ...] = field(default=())

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.started


def check(condition: object, expected: str, found: object = None) -> None:
    """Raises CheckFailed, naming what was expected and what was found, unless `condition` holds."""
    if not condition:
        raise CheckFailed(
            f"expected {expected}" + ("" if found is None else f"; found {_shown(found)}")
        )


def check_equal(found: object, expected: object, what: str) -> None:
    """Raises CheckFailed unless the two are equal."""
    if found != expected:
        raise CheckFailed(f"{what}: expected {_shown(expected)}; found {_shown(found)}")


def _shown(value: object) -> str:
    """For people: states by their values, everything else as it is."""
    if isinstance(value, Enum):
        return repr(value.value)
    if isinstance(value, list | tuple):
        inside = ", ".join(_shown(one) for one in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return repr(value)
