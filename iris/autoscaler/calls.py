"""Calls to one platform: a bounded number at once, each with a deadline, so that one that hangs
holds up nobody else.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from iris.host.clock import Clock
from iris.model.errors import DeadlineExceeded, Internal, IrisError

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class PlatformCalls:
    """For one event loop."""

    def __init__(self, clock: Clock, timeout: timedelta, limit: int) -> None:
        self._clock = clock
        self._timeout = timeout
        self._slots = asyncio.Semaphore(limit)

    async def run(self, what: str, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Its result. The deadline counts from when it is its turn.

        Raises IrisErrors only: those of the call, Internal for anything else it raises (logged),
        and DeadlineExceeded, naming `what`, once it was cancelled because of the deadline.
        """
        async with self._slots:
            task = asyncio.create_task(call(), name=what)
            timer = asyncio.create_task(self._clock.sleep(self._timeout.total_seconds()))
            try:
                await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    seconds = self._timeout.total_seconds()
                    raise DeadlineExceeded(f"{what} did not end within {seconds:g} s.")
                return task.result()
            except IrisError:
                raise
            except Exception as error:
                # Platforms are other people's code: what they raise is no reason to end.
                _LOG.exception("%s failed", what)
                raise Internal(f"{what} failed: {type(error).__name__}: {error}") from error
            finally:
                for one in (task, timer):
                    one.cancel()
                await asyncio.gather(task, timer, return_exceptions=True)


class GroupCalls:
    """Of one scale group. Requests for slices have slots of their own: after a wave of losses they
    need not wait until all remains are cleared away.
    """

    def __init__(self, clock: Clock, timeout: timedelta, limit: int) -> None:
        self.asking = PlatformCalls(clock, timeout, limit)
        self.others = PlatformCalls(clock, timeout, limit)
