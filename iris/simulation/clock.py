"""Virtual time: a clock that stands still until something happens, and the agenda of what will.

Nothing here waits. A run takes as long as its decisions take to be made, however much virtual time
passes.
"""

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

from iris.model.errors import Internal

START = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualClock:
    """See iris.host.clock.Clock. Monotonic time begins at 0, wall-clock time at START."""

    def __init__(self) -> None:
        self._elapsed = 0.0
        self._offset = START

    def now(self) -> datetime:
        """Wall-clock time: what has passed since START, and all jumps."""
        return self._offset + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Virtual seconds since the run began."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Never called: whatever waits in a simulation is on the agenda."""
        raise Internal(f"Something wants to sleep for {seconds:g} s in virtual time.")

    def jump(self, seconds: float) -> None:
        """Sets the wall clock forward, or back."""
        self._offset += timedelta(seconds=seconds)

    def advance_to(self, moment: float) -> None:
        """Time passes; never goes back."""
        self._elapsed = max(self._elapsed, moment)


class Entry:
    """Something that will happen, unless it is cancelled."""

    __slots__ = ("action", "at")

    def __init__(self, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """It will not."""
        self.action = None


class Agenda:
    """What will happen, in the order of its time; at one time, in the order in which it was put."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self._entries: list[tuple[float, int, Entry]] = []

    @property
    def now(self) -> float:
        """Virtual seconds since the run began."""
        return self._clock.monotonic()

    def at(self, moment: float, action: Callable[[], None]) -> Entry:
        """Puts something on it; what is past is done next."""
        entry = Entry(moment, action)
        heapq.heappush(self._entries, (moment, next(self._order), entry))
        return entry

    def after(self, seconds: float, action: Callable[[], None]) -> Entry:
        """The same, so many seconds from now."""
        return self.at(self.now + seconds, action)

    def step(self) -> bool:
        """Does what comes next, and lets time pass until then; False if nothing does."""
        while self._entries:
            moment, _, entry = heapq.heappop(self._entries)
            action = entry.action
            if action is None:
                continue
            entry.action = None
            self._clock.advance_to(moment)
            action()
            return True
        return False


class Chances:
    """Random numbers by name: every entity draws from a stream of its own.

    So a scenario from which one job or one fault was taken away is the same in all else, which is
    what makes shrinking work.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, *names: object) -> Random:
        """The stream of that name, from its beginning."""
        return Random("/".join(map(str, (self._seed, *names))))
