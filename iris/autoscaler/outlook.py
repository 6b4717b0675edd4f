"""What is told about a demand: that capacity is coming, or what keeps each group that could hold it
from buying more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from iris.autoscaler.demand import Demand, ScalingReason
from iris.autoscaler.fit import Fit, needed_by
from iris.autoscaler.groups import GroupState
from iris.model.pending import PendingCode, PendingReason

# What passes by itself, and soonest, is told first.
_ORDER = (ScalingReason.BACKING_OFF, ScalingReason.MACHINE_BUDGET, ScalingReason.AT_MAX_SLICES)
_CODES = {
    ScalingReason.BACKING_OFF: PendingCode.GROUP_BACKOFF,
    ScalingReason.MACHINE_BUDGET: PendingCode.CAPACITY_LIMIT,
    ScalingReason.AT_MAX_SLICES: PendingCode.CAPACITY_LIMIT,
}
_HINTS = {
    ScalingReason.BACKING_OFF: "It is tried again by itself.",
    ScalingReason.MACHINE_BUDGET: "It is tried again as soon as a slice goes back.",
    ScalingReason.AT_MAX_SLICES: "There is room once running tasks end; or raise max_slices.",
}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps one group from buying a slice that a demand could use."""

    group: str
    reason: ScalingReason
    text: str

    @classmethod
    def of(cls, state: GroupState, exist: int, fit: Fit, now: datetime) -> "Obstacle":
        """Of a group with `exist` slices, those that are coming and going included."""
        name, backoff = state.group.name, state.backoff
        if state.unlisted:
            return cls(name, ScalingReason.BACKING_OFF, f"{name}: {state.unlisted}")
        if backoff.failures:
            what = "tries one slice at a time"
            if backoff.until is not None and backoff.is_resting(now):
                what = f"rests until {_moment(backoff.until)}"
            text = f"{name} {what} after {backoff.failures} failed boots: {backoff.problem}"
            return cls(name, ScalingReason.BACKING_OFF, text)
        if state.exhausted is not None and now < state.exhausted.retry_at:
            return cls(name, ScalingReason.MACHINE_BUDGET, f"{name}: {state.exhausted.problem}")
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
