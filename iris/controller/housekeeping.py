"""Deletes what nobody will ask for any more: logs of attempts that were forgotten, old events, and
logs of attempts that have ended where all logs together are too much.

What a crash leaves undone is found at the next start.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from iris.controller.log_store import LogLimits, LogStore
from iris.controller.options import Retention
from iris.controller.state.records import AttemptRecord
from iris.controller.store import Store
from iris.host.clock import Clock
from iris.model.errors import IrisError
from iris.model.ids import AttemptUid

_log = logging.getLogger(__name__)

# Between two looks at what has become old. Nothing depends on it but disk space.
_INTERVAL_SECONDS = 600.0
# Where there are too many logs, so much more than that is cut: not to look at all of them for every
# new line.
_SPARE_SHARE = 0.05

# Gives what is known of an attempt; None for one that was forgotten.
Find = Callable[[AttemptUid], AttemptRecord | None]


def log_limits(retention: Retention) -> LogLimits:
    """What the log store has to know of the owner's wishes."""
    return LogLimits(attempt_bytes=retention.log_bytes_per_attempt, total_bytes=retention.log_bytes)


class Housekeeping:
    """For one controller; belongs to its event loop. Whoever starts it awaits `stop`.

    Args:
        keep_events: How long events are kept.
    """

    def __init__(
        self, store: Store, logs: LogStore, *, clock: Clock, keep_events: timedelta
    ) -> None:
        self._store = store
        self._logs = logs
        self._clock = clock
        self._keep_events = keep_events
        self._forgotten: dict[AttemptUid, None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # Too much of it belongs to attempts that have not ended: wait until there is more than so.
        self._tolerated_bytes = 0

    def start(self, find: Find) -> None:
        """Begins to work. Logs of attempts that are not known go first."""
        self._logs.on_full = self._full
        self._task = asyncio.create_task(self._run(find), name="housekeeping")

    async def stop(self) -> None:
        """Ends it; what is left waits for the next start. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def wait_failed(self) -> BaseException:
        """What ended it though nobody stopped it. Never returns if nothing does."""
        assert self._task is not None, "the housekeeping was not started"
        await asyncio.wait((self._task,))
        error = None if self._task.cancelled() else self._task.exception()
        if error is None:
            await asyncio.Event().wait()  # it was stopped, as somebody wished
        assert error is not None
        return error

    def forget(self, attempts: Iterable[AttemptUid]) -> None:
        """Nobody will ask for these attempts' logs. Never blocks."""
        self._forgotten.update(dict.fromkeys(attempts))
        if self._forgotten:
            self._wake.set()

    def _full(self) -> None:
        if self._logs.excess_bytes > self._tolerated_bytes:
            self._wake.set()

    async def _run(self, find: Find) -> None:
        self.forget(log.uid for log in await self._logs.usage() if find(log.uid) is None)
        while True:
            self._wake.clear()
            try:
                await self._delete_logs()
                await self._cut_logs(find)
                before = self._clock.now() - self._keep_events
                deleted = await self._store.prune_events(before)
                if deleted:
                    _log.info("deleted %d events from before %s", deleted, before)
            except (IrisError, OSError) as error:
                # A full disk, say. What matters fails by itself; this is tried again.
                _log.warning("housekeeping: %s", error)
            await self._sleep()

    async def _delete_logs(self) -> None:
        while self._forgotten:
            uid = next(iter(self._forgotten))
            await self._logs.delete(uid)
            del self._forgotten[uid]

    async def _cut_logs(self, find: Find) -> None:
        """Of attempts that have ended, those that were written longest ago first."""
        self._tolerated_bytes = 0
        if not self._logs.excess_bytes:
            return
        logs = await self._logs.usage()
        wanted = self._logs.excess_bytes + int(_SPARE_SHARE * sum(log.size_bytes for log in logs))
        cut = freed = 0
        for log in logs:
            attempt = find(log.uid)
            if freed >= wanted or not log.size_bytes:
                continue
            if attempt is None or attempt.state.is_terminal:
                await self._logs.cut(log.uid)
                cut, freed = cut + 1, freed + log.size_bytes
        _log.warning(
            "logs are more than retention.log_bytes: cut those of %d attempts, %d bytes", cut, freed
        )
        if self._logs.excess_bytes:
            self._tolerated_bytes = self._logs.excess_bytes + wanted - freed

    async def _sleep(self) -> None:
        timer = asyncio.create_task(self._clock.sleep(_INTERVAL_SECONDS))
        news = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait((timer, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            news.cancel()
            await asyncio.gather(timer, news, return_exceptions=True)
