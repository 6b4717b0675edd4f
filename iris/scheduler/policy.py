"""What a cluster's owner decides about scheduling: values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from iris.model.resources import Resources


@dataclass(frozen=True, slots=True)
class UserPolicy:
    """What one user may have.

    Attributes:
        budget: What all attempts of the user may hold together, in all bands, by resource as in
            Resources.amounts(); one that is not named is not limited.
        weight: Shares within a band are in proportion to it; more than 0.
    """

    budget: Mapping[str, int] = field(default_factory=dict)
    weight: float = 1.0

    def copies_within(self, need: Resources, held: Resources, limit: int) -> int:
        """How many times `need` may be added to what the user holds, at most `limit`."""
        if not self.budget:
            return limit
        wanted, have = dict(need.amounts()), dict(held.amounts())
        for name, most in self.budget.items():
            each = wanted.get(name, 0)
            if each:
                limit = min(limit, (most - have.get(name, 0)) // each)
        return max(0, limit)


@dataclass(frozen=True, slots=True)
class SchedulingPolicy:
    """How a pass behaves.

    Attributes:
        users: For those that are named; `default_user` is for all others.
        preemption: Whether work of an earlier band may take the place of running work of a later.
        max_placements: Of one pass, so that a turn of the controller's loop ends soon. The gang
            that reaches it is still placed whole.
        max_preemptions: Attempts that one pass has stopped at most.
        max_reservations: Gangs that room is kept for at once: bounds what a pass costs, and how
            much of a fleet stands idle for gangs.
        reservation_lasts: How long room is kept for one gang.
    """

    users: Mapping[str, UserPolicy] = field(default_factory=dict)
    default_user: UserPolicy = field(default_factory=UserPolicy)
    preemption: bool = True
    max_placements: int = 8_192
    max_preemptions: int = 1_024
    max_reservations: int = 64
    reservation_lasts: timedelta = timedelta(minutes=30)

    def of_user(self, user: str) -> UserPolicy:
        """What holds for a user."""
        return self.users.get(user, self.default_user)
