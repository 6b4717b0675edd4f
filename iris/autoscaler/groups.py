"""What the plan knows of each scale group and its slices: values, and the rule for how long a group
rests after failed boots.
"""

from dataclasses import dataclass
from datetime import datetime

from iris.autoscaler.demand import ScalingReason
from iris.autoscaler.pace import NO_PACE, Pace
from iris.autoscaler.settings import AutoscalerSettings
from iris.model.fleet import ScaleGroup, Slice

# 2**30 times any back-off is beyond every cap.
_MOST_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Backoff:
    """Failed boots in a row, and until when the group rests because of them.

    Only slices that came up completely end the row: that a platform accepts a request says nothing
    yet. Each halves it: a group in which every other slice fails would else begin with the shortest
    rest each time.
    """

    failures: int = 0
    until: datetime | None = None
    problem: str = ""

    def is_resting(self, now: datetime) -> bool:
        """Whether nothing is bought yet."""
        return self.until is not None and now < self.until


NO_BACKOFF = Backoff()


def after_failed_boot(
    backoff: Backoff, problem: str, now: datetime, settings: AutoscalerSettings
) -> Backoff:
    """Twice the last rest, at most `backoff_max`. Slices that fail while the group rests belong to
    the same failure.
    """
    if backoff.is_resting(now):
        return backoff
    rest = settings.backoff_min * (1 << min(backoff.failures, _MOST_DOUBLINGS))
    until = now + min(rest, settings.backoff_max)
    return Backoff(backoff.failures + 1, until, problem)


def after_boot(backoff: Backoff) -> Backoff:
    """Once a slice came up completely."""
    failures = backoff.failures // 2
    return Backoff(failures, None, backoff.problem) if failures else NO_BACKOFF


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The platform had nothing to give (quota, budget). From `retry_at` on it is asked for one slice
    at a time, until it gives one.
    """

    problem: str
    retry_at: datetime


def reason_of_exhaustion(group: ScaleGroup) -> ScalingReason:
    """What is used up: this machine's budget, or a quota of the cloud."""
    is_local = group.platform == "local"
    return ScalingReason.MACHINE_BUDGET if is_local else ScalingReason.QUOTA


@dataclass(frozen=True, slots=True)
class SliceState:
    """One slice that exists and is not being given back.

    Attributes:
        booted: Whether all its workers were there at once, ever. Until then it counts as launching.
        incomplete_since: Since when it has been launching, or short of workers; None while it is
            complete.
        keep: It was asked for and had work; it is not asked for again before there is news of the
            fleet.
    """

    slice: Slice
    booted: bool
    incomplete_since: datetime | None
    keep: bool = False


@dataclass(frozen=True, slots=True)
class GroupState:
    """One scale group now.

    Attributes:
        creating: Slices that were asked for and have no name yet.
        leaving: Slices that are being given back but still exist. What is only cleared away, because
            it was lost, is not counted: it is no capacity, and costs nothing.
        unlisted: Why the platform has not yet said which slices there are from before; until it
            has, nothing is bought.
        churn: Why other groups are preferred to this one (see Health).
        pace: How fast it was asked for slices.
    """

    group: ScaleGroup
    slices: tuple[SliceState, ...] = ()
    creating: int = 0
    leaving: int = 0
    backoff: Backoff = NO_BACKOFF
    exhausted: Exhausted | None = None
    unlisted: str = ""
    churn: str = ""
    pace: Pace = NO_PACE

    def headroom(self, exist: int, coming: int, now: datetime) -> int:
        """How many more slices may be bought now, when so many exist and so many of them are on
        their way. (What its pace allows is for Supply to say.)

        After a failed boot one slice at a time is tried, until enough came up; after a refusal one
        request at a time, until one is granted.
        """
        closed = (
            self.unlisted
            or self.backoff.is_resting(now)
            or (self.exhausted is not None and now < self.exhausted.retry_at)
        )
        if closed:
            return 0
        most = self.group.max_slices - exist - self.leaving
        if self.backoff.failures:
            most = min(most, 1 - coming)
        if self.exhausted is not None:
            # Requests that are under way, this plan's included.
            most = min(most, 1 - (exist - len(self.slices)))
        return max(0, most)

    @property
    def is_trying(self) -> bool:
        """Whether one slice at a time is tried."""
        return self.backoff.failures > 0 or self.exhausted is not None
