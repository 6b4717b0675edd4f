"""How fast things may go: a scale group may be asked for slices at a rate, and for a batch at once;
and plans for many slices have pauses between them.

Each slice that is asked for takes its share of a minute; a group may be ahead of time by a batch.
One moment is all there is to remember (the generic cell rate algorithm).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from iris.autoscaler.settings import AutoscalerSettings


@dataclass(frozen=True, slots=True)
class Pace:
    """Until when the time is taken by what was asked for; None: nothing was."""

    taken_until: datetime | None = None

    def allowed(self, now: datetime, settings: AutoscalerSettings) -> int:
        """How many slices may be asked for now."""
        each, furthest = _share(settings), _furthest(now, settings)
        return (furthest - self._taken(now, furthest)) // each

    def after(self, slices: int, now: datetime, settings: AutoscalerSettings) -> "Pace":
        """Once so many more were asked for; fewer than 0: once so many were not asked for after
        all.
        """
        taken = self._taken(now, _furthest(now, settings))
        return Pace(taken + slices * _share(settings))

    def opens_at(self, now: datetime, settings: AutoscalerSettings) -> datetime:
        """When one more may be asked for."""
        furthest = _furthest(now, settings)
        return now + max(timedelta(), self._taken(now, furthest) + _share(settings) - furthest)

    def _taken(self, now: datetime, furthest: datetime) -> datetime:
        # Further than it can be, the clock was set back, or there are other settings: then nobody
        # knows what was asked for when.
        taken = self.taken_until
        return taken if taken is not None and now < taken <= furthest else now


NO_PACE = Pace()

# A plan takes some 15 microseconds for each slice, on the controller's event loop.
_PAUSE_PER_SLICE = 2e-4
_MANY_SLICES = 100


def pause_after_plan(slices: int) -> float:
    """Seconds in which news is gathered after a plan for so many slices: when a thousand come or go
    at once, each would else be planned for alone.
    """
    return slices * _PAUSE_PER_SLICE if slices >= _MANY_SLICES else 0.0


def _share(settings: AutoscalerSettings) -> timedelta:
    return timedelta(minutes=1) / settings.launches_per_minute


def _furthest(now: datetime, settings: AutoscalerSettings) -> datetime:
    return now + settings.launch_batch * _share(settings)
