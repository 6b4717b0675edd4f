"""Ctrl-C and SIGTERM for a program that has to tidy up: the first one ends the work, further ones
change nothing.
"""

import asyncio
import signal
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """Raised in the middle of blocking work, so that it can undo what it has begun."""


class StopRequest:
    """Takes the signals over for the rest of the process's life. Make it in the main thread,
    before anything is started.
    """

    def __init__(self) -> None:
        self.requested = False
        self._interrupts_work = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event: asyncio.Event | None = None
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)

    def hold_back(self) -> None:
        """From now on blocking work is not interrupted."""
        self._interrupts_work = False

    async def wait(self) -> None:
        """Returns once a stop was requested; from its first call on, nothing else is interrupted."""
        self.hold_back()
        self._loop, self._event = asyncio.get_running_loop(), asyncio.Event()
        if not self.requested:
            await self._event.wait()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first = not self.requested
        self.requested = True
        if self._loop is not None and self._event is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)
        elif first and self._interrupts_work:
            raise StopRequested
