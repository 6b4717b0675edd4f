"""Ctrl-C, as something to wait for: the first one asks, the second one ends the program at once."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from iris.cli.outcome import INTERRUPTED

T = TypeVar("T")


class Interrupted(Exception):
    """Ctrl-C came first."""


class Interrupts:
    """Takes SIGINT over while it is entered; on the running loop. Another thread than the main one gets no signals
    (https://docs.python.org/3/library/signal.html): there none ever comes.
    """

    def __init__(self, at_once: Callable[[], None]) -> None:
        """`at_once` tidies up the terminal before a second Ctrl-C ends the process."""
        self._at_once = at_once
        self._first = asyncio.Event()
        self._hears = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> "Interrupts":
        if self._hears:
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._hears:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    @property
    def came(self) -> bool:
        """Whether the first one has come."""
        return self._first.is_set()

    async def wait(self) -> None:
        """Returns once the first one has come."""
        await self._first.wait()

    async def unless(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. Raises Interrupted, with `work` cancelled, if the first one comes
        before it is done.
        """
        task = asyncio.ensure_future(work)
        waiting = asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Interrupted
        finally:
            for one in (task, waiting):
                one.cancel()
            await asyncio.gather(task, waiting, return_exceptions=True)

    def _handle(self) -> None:
        if self._first.is_set():
            self._at_once()
            os._exit(INTERRUPTED)  # threads that still pack or send would hold up an orderly exit
        self._first.set()
