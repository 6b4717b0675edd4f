"""How well a scale group does: what became of its slices lately.

Apart from back-off, which answers failed boots in a row with a rest, and from quota, which says
nothing about slices that exist: a group whose slices come up and are soon lost again, or fail now
and then, gets little done for its price, and the next group in the waterfall is preferred to it for
as long as that lies within the window.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from iris.autoscaler.settings import AutoscalerSettings

# The latest say enough.
MOST_FATES = 64
# So many that came to little are no accident.
ENOUGH = 3


class Fate(Enum):
    """What became of a slice."""

    SURVIVED = "survived"
    """It lasted `short_lived`, or went back unused before: it did what it was bought for."""
    SHORT_LIVED = "short-lived"
    BOOT_FAILED = "boot failed"


@dataclass(frozen=True, slots=True)
class Health:
    """The latest fates of a group's slices, oldest first, with the moment each was known."""

    fates: tuple[tuple[datetime, Fate], ...] = ()

    def after(self, fate: Fate, now: datetime, settings: AutoscalerSettings) -> "Health":
        """With one more; those beyond the window are dropped."""
        since = now - settings.health_window
        kept = [one for one in self.fates if one[0] > since]
        return Health((*kept, (now, fate))[-MOST_FATES:])

    def churn(self, now: datetime, settings: AutoscalerSettings) -> str:
        """Why other groups are preferred; empty while there is no reason to."""
        since = now - settings.health_window
        fates = [fate for at, fate in self.fates if at > since]
        failed, short = fates.count(Fate.BOOT_FAILED), fates.count(Fate.SHORT_LIVED)
        if failed + short < ENOUGH or 2 * (failed + short) <= len(fates):
            return ""
        minutes = settings.health_window.total_seconds() / 60
        return (
            f"of the {len(fates)} slices that it had in the last {minutes:g} min, "
            f"{short} were soon lost and {failed} failed to boot"
        )


UNKNOWN_HEALTH = Health()
