"""Looks at everything again and again, and tells when what it finds is something else."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NoReturn

from iris.host.clock import Clock
from iris.model.health import HealthProblem, problems_text
from iris.worker.health.checks import Check

_log = logging.getLogger(__name__)

# A look at a disk that is gone, or at a runtime that hangs, may never end.
PATIENCE_SECONDS = 10.0
# As long as the same checks find problems, new numbers are told this often at most.
RETELL_SECONDS = 60.0

Tell = Callable[[tuple[HealthProblem, ...]], None]


class HealthMonitor:
    """One worker's checks. Belongs to one event loop.

    Args:
        interval: Seconds between two looks.
        tell: Called with all problems whenever they are others than were told last; at first that
            there are none is taken as told.
    """

    def __init__(
        self, checks: Sequence[Check], *, clock: Clock, interval: float, tell: Tell
    ) -> None:
        self._looks = [_Looks(check, clock) for check in checks]
        self._clock = clock
        self._interval = interval
        self._tell = tell
        self._told: tuple[HealthProblem, ...] = ()
        self._told_at = clock.monotonic()

    @property
    def problems(self) -> tuple[HealthProblem, ...]:
        """As they were told last, in the order of the checks."""
        return self._told

    async def look(self) -> None:
        """Makes all checks at once, each for a bounded time."""
        found = await asyncio.gather(*(one.look() for one in self._looks))
        problems = tuple(problem for problem in found if problem is not None)
        if self._is_news(problems):
            self._told, self._told_at = problems, self._clock.monotonic()
            _log.warning("health: %s", problems_text(problems) or "well again")
            self._tell(problems)

    async def run(self) -> NoReturn:
        """Looks until it is cancelled."""
        while True:
            await self._clock.sleep(self._interval)
            await self.look()

    async def close(self) -> None:
        """Ends looks that are under way. After `run` was cancelled."""
        for one in self._looks:
            await one.close()

    def _is_news(self, problems: tuple[HealthProblem, ...]) -> bool:
        if [one.check for one in problems] != [one.check for one in self._told]:
            return True
        due = self._told_at + RETELL_SECONDS <= self._clock.monotonic()
        return problems != self._told and due


class _Looks:
    """One check's. One that does not end is not begun again: it would never end either."""

    def __init__(self, check: Check, clock: Clock) -> None:
        self._check = check
        self._clock = clock
        self._running: asyncio.Task[str] | None = None

    async def look(self) -> HealthProblem | None:
        if self._running is None:
            self._running = asyncio.create_task(
                self._look(), name=f"health check {self._check.name}"
            )
        running = self._running
        patience = asyncio.ensure_future(self._clock.sleep(PATIENCE_SECONDS))
        try:
            await asyncio.wait((running, patience), return_when=asyncio.FIRST_COMPLETED)
        finally:
            patience.cancel()
        if not running.done():
            text = f"the look at it does not end within {PATIENCE_SECONDS:g} s"
        else:
            self._running = None
            text = running.result()
        return HealthProblem(self._check.name, text) if text else None

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            self._running = None

    async def _look(self) -> str:
        try:
            return await self._check.look()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this check's problem
            _log.exception("the health check %s failed", self._check.name)
            return f"the look at it failed: {type(error).__name__}: {error}"
