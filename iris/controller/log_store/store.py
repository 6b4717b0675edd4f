"""All attempts' logs: appended as workers send them, read by anyone, followed without polling."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from iris.controller.log_store.attempt_log import AttemptLog
from iris.controller.log_store.line import StoredLine
from iris.host.files import private_folder
from iris.model.errors import InvalidArgument
from iris.model.ids import AttemptUid

T = TypeVar("T")

_UID = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
# Logs whose marks are kept in memory; others are read through once when they are asked for.
_MAX_OPEN = 4096
_SUFFIX = ".log"


class LogStore:
    """Use from one event loop; files are touched in one thread, in order, which `close` ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        private_folder(folder)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-store")
        self._logs: OrderedDict[AttemptUid, AttemptLog] = OrderedDict()
        self._waiters: dict[AttemptUid, set[asyncio.Future[None]]] = {}

    async def append(
        self, attempt: AttemptUid, first_index: int, lines: Sequence[StoredLine]
    ) -> int:
        """Stores what of these lines is not stored yet; returns the number of lines there are now.

        Lines that were sent before are not stored twice. Lines beyond a gap are not stored at all:
        the answer tells the worker from where on to send again.
        """

        def add() -> tuple[int, bool]:
            log = self._open(attempt)
            known = log.next_index - first_index
            new = lines[known:] if known >= 0 else ()
            if new:
                try:
                    log.append(new)
                except OSError:
                    # What the file has now only the file knows: it is read when next asked for.
                    del self._logs[attempt]
                    raise
            return log.next_index, bool(new)

        next_index, grew = await self._in_thread(add)
        if grew:
            self.wake(attempt)
        return next_index

    async def next_index(self, attempt: AttemptUid) -> int:
        """How many lines there are."""
        return await self._in_thread(lambda: self._open(attempt).next_index)

    async def read(self, attempt: AttemptUid, first: int, limit: int) -> list[StoredLine]:
        """At most `limit` lines from number `first` on."""
        return await self._in_thread(lambda: self._open(attempt).read(first, limit))

    async def grown(self, attempt: AttemptUid, beyond: int) -> None:
        """Returns once there are more than `beyond` lines, or `wake` was called."""
        future = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(attempt, set())
        waiters.add(future)
        try:
            # Looked at only now that an append cannot slip through between the look and the wait.
            if await self.next_index(attempt) <= beyond:
                await future
        finally:
            waiters.discard(future)
            if not waiters and self._waiters.get(attempt) is waiters:
                del self._waiters[attempt]

    def wake(self, attempt: AttemptUid) -> None:
        """Wakes those who wait for more of this attempt: there will be none, or they have to look
        elsewhere.
        """
        for future in self._waiters.get(attempt, ()):
            if not future.done():
                future.set_result(None)

    async def stored(self) -> list[AttemptUid]:
        """All attempts that there are lines of."""

        def look() -> list[AttemptUid]:
            names = (path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}"))
            return sorted(AttemptUid(name) for name in names if _UID.fullmatch(name))

        return await self._in_thread(look)

    async def delete(self, attempt: AttemptUid) -> None:
        """Removes an attempt's lines. Idempotent."""

        def remove() -> None:
            self._logs.pop(attempt, None)
            self._path(attempt).unlink(missing_ok=True)

        await self._in_thread(remove)
        self.wake(attempt)

    def close(self) -> None:
        """Finishes what is under way and ends the thread. Idempotent."""
        self._thread.shutdown(wait=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self, attempt: AttemptUid) -> AttemptLog:
        log = self._logs.get(attempt)
        if log is None:
            log = self._logs[attempt] = AttemptLog(self._path(attempt))
            if len(self._logs) > _MAX_OPEN:
                self._logs.popitem(last=False)
        self._logs.move_to_end(attempt)
        return log

    def _path(self, attempt: AttemptUid) -> Path:
        if not _UID.fullmatch(attempt):
            raise InvalidArgument(
                f"{attempt!r} is no attempt uid.", hint="It is made by the controller."
            )
        return self._folder / f"{attempt}{_SUFFIX}"
