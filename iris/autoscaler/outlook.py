"""What is told about a demand: that capacity is coming, or what keeps each group that could hold it
from buying more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from iris.autoscaler.demand import Demand, ScalingReason
from iris.autoscaler.fit import Fit, needed_by
from iris.autoscaler.groups import reason_of_exhaustion
from iris.autoscaler.supply import Supply
from iris.model.pending import PendingCode, PendingReason

# What passes by itself, and soonest, is told first.
_ORDER = (
    ScalingReason.RATE_LIMIT,
    ScalingReason.BACKING_OFF,
    ScalingReason.MACHINE_BUDGET,
    ScalingReason.QUOTA,
    ScalingReason.AT_MAX_SLICES,
)
_CODES = {
    ScalingReason.RATE_LIMIT: PendingCode.CAPACITY_LIMIT,
    ScalingReason.BACKING_OFF: PendingCode.GROUP_BACKOFF,
    ScalingReason.MACHINE_BUDGET: PendingCode.CAPACITY_LIMIT,
    ScalingReason.QUOTA: PendingCode.CAPACITY_LIMIT,
    ScalingReason.AT_MAX_SLICES: PendingCode.CAPACITY_LIMIT,
}
_HINTS = {
    ScalingReason.RATE_LIMIT: "It is bought by itself; or raise autoscaler.launches_per_minute.",
    ScalingReason.BACKING_OFF: "It is tried again by itself.",
    ScalingReason.MACHINE_BUDGET: "It is tried again as soon as a slice goes back.",
    ScalingReason.QUOTA: "It is tried again by itself; or raise the quota.",
    ScalingReason.AT_MAX_SLICES: "There is room once running tasks end; or raise max_slices.",
}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps one group from buying a slice that a demand could use."""

    group: str
    reason: ScalingReason
    text: str

    @classmethod
    def of(cls, supply: Supply, fit: Fit, now: datetime) -> "Obstacle":
        """Of the group that a plan draws on."""
        state = supply.state
        name, backoff = state.group.name, state.backoff
        if state.unlisted:
            return cls(name, ScalingReason.BACKING_OFF, f"{name}: {state.unlisted}")
        if backoff.failures:
            what = "tries one slice at a time"
            if backoff.until is not None and backoff.is_resting(now):
                what = f"rests until {_moment(backoff.until)}"
            text = f"{name} {what} after {backoff.failures} failed boots: {backoff.problem}"
            return cls(name, ScalingReason.BACKING_OFF, text)
        if state.exhausted is not None:
            reason = reason_of_exhaustion(state.group)
            return cls(name, reason, f"{name}: {state.exhausted.problem}")
        if fit.launchable and supply.is_paced(now):
            text = f"{name} is at its launch rate until {_moment(supply.opens_at(now))}"
            return cls(name, ScalingReason.RATE_LIMIT, text)
        exist = supply.exist + state.leaving
        text = f"{name} has {exist} of at most {state.group.max_slices} slices"
        if state.leaving:
            text += f" ({state.leaving} of them going back)"
        if not fit.launchable:
            text = f"{name}, of which the constraints name one slice that is there"
        return cls(name, ScalingReason.AT_MAX_SLICES, text)

    @property
    def order(self) -> int:
        """Lower is told first."""
        return _ORDER.index(self.reason)


def launching(demand: Demand, placed: Mapping[str, int]) -> PendingReason:
    """Capacity is coming for so many tasks, by group."""
    groups = ", ".join(f"{name} for {tasks} of {demand.tasks}" for name, tasks in placed.items())
    return PendingReason(
        PendingCode.LAUNCHING_CAPACITY, next(iter(placed)), needed_by(demand), groups
    )


def unmet(demand: Demand, obstacles: Sequence[Obstacle]) -> PendingReason:
    """Nothing is coming, and why, group by group."""
    first = min(obstacles, key=lambda one: one.order)
    nearest = "; ".join(one.text for one in obstacles)
    return PendingReason(
        _CODES[first.reason], first.group, needed_by(demand), nearest, hint=_HINTS[first.reason]
    )


def _moment(when: datetime) -> str:
    return f"{when:%H:%M:%S} UTC"
