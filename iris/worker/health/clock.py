"""Whether the wall clock can be trusted: times of attempts and log lines come from it."""

from datetime import datetime, timedelta

from iris.host.clock import Clock


class ClockCheck:
    """The clock did not jump since the last look, and is near the controller's.

    A jump is told once, at the look that finds it. It may have been a machine that slept: how far
    the controller's clock is away is not known then, until that tells its time again.

    Args:
        most: How far it may jump, or be away.
    """

    name = "clock"

    def __init__(self, clock: Clock, most: timedelta) -> None:
        self._clock = clock
        self._most = most.total_seconds()
        # Both: wall-clock seconds minus monotonic ones, ours as of the last look.
        self._ours: float | None = None
        self._theirs: float | None = None

    def controller_says(self, now: datetime) -> None:
        """The time there, as it has just arrived."""
        self._theirs = now.timestamp() - self._clock.monotonic()

    async def look(self) -> str:
        """See Check."""
        before = self._ours
        self._ours = ours = self._clock.now().timestamp() - self._clock.monotonic()
        if before is not None and abs(ours - before) > self._most:
            self._theirs = None
            return (
                f"it jumped {_seconds(ours - before, 'forward', 'back')}, more than "
                f"{self._most:g} s; is the machine's time being set?"
            )
        if self._theirs is not None and abs(ours - self._theirs) > self._most:
            return (
                f"it is {_seconds(ours - self._theirs, 'ahead of', 'behind')} the controller's, "
                f"more than {self._most:g} s; set both by the same time server"
            )
        return ""


def _seconds(amount: float, more: str, less: str) -> str:
    """`12 s ahead of`."""
    return f"{abs(amount):.0f} s {more if amount > 0 else less}"
