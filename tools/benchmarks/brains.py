"""A Brain with a clock that only moves when it is told to: what is timed is what the Brain does."""

from datetime import datetime, timedelta
from random import Random

from iris.controller.brain import Brain
from iris.controller.state.machine import ControllerState
from iris.scheduler.policy import SchedulingPolicy
from tools.benchmarks.cluster import START


class StillClock:
    """See iris.host.clock.Clock."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """See Clock."""
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """See Clock."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Moves the clock."""
        self.seconds += seconds


class CountedIds:
    """See iris.host.ids.IdSource."""

    def __init__(self) -> None:
        self._last = 0

    def fresh(self, prefix: str) -> str:
        """See IdSource. As long as a real one."""
        self._last += 1
        return f"{prefix}-{self._last:016x}"


def new_brain(state: ControllerState, policy: SchedulingPolicy, seed: int) -> Brain:
    """One as the controller makes it."""
    return Brain(
        state,
        policy,
        clock=StillClock(),
        ids=CountedIds(),
        chance=Random(seed),
        lost_after=60,
        retention=timedelta(days=7),
    )
