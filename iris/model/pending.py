"""Why a task is not running yet: one structured record that RPC, command line and reports all show."""

from dataclasses import dataclass
from enum import Enum


class PendingCode(Enum):
    """The rule that holds a task back."""

    WAITING_FOR_SCHEDULER = "waiting for the scheduler"
    NO_WORKERS = "no workers"
    INSUFFICIENT_RESOURCE = "too little of a resource"
    CONSTRAINT_UNMET = "a constraint does not hold"
    GANG_INCOMPLETE = "not enough free workers in one group"
    WORKERS_UNAVAILABLE = "workers are draining, unhealthy or silent"
    LAUNCHING_CAPACITY = "a slice is being launched"
    CAPACITY_LIMIT = "every fitting scale group is at its limit"
    GROUP_BACKOFF = "fitting scale groups rest after failed boots"
    NO_GROUP_FITS = "no scale group could ever run it"
    RETRY_DELAY = "waits before the next attempt"
    WORKERS_RESERVED = "workers are kept free for a gang that came first"
    TAINT_NOT_TOLERATED = "workers have a taint that the job does not tolerate"
    BUDGET_EXHAUSTED = "the user's budget is used up"
    WAITS_FOR_STOP = "room is coming: what has it is being stopped"


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many workers one rule turned down."""

    rule: PendingCode
    subject: str
    workers: int


@dataclass(frozen=True, slots=True)
class PendingReason:
    """Why.

    Attributes:
        subject: The resource, attribute or scale group that it hangs on.
        needed: What the task needs of it, for people.
        nearest: The nearest miss, for people.
        rules: What turned down how many workers.
        hint: What would help.
    """

    code: PendingCode
    subject: str = ""
    needed: str = ""
    nearest: str = ""
    rules: tuple[RuleCount, ...] = ()
    hint: str = ""

    def summary(self) -> str:
        """All of it in one sentence, the same everywhere."""
        text = self.code.value
        if self.subject:
            text += f" ({self.subject})"
        if self.needed:
            text += f": needs {self.needed}"
        if self.nearest:
            text += f"{',' if self.needed else ':'} nearest is {self.nearest}"
        if self.hint:
            text += f". {self.hint}"
        return text
