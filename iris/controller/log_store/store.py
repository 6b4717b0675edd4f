"""All attempts' logs: appended as workers send them, read by anyone, followed without polling."""

import asyncio
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from iris.controller.log_store.attempt_log import AttemptLog
from iris.controller.log_store.run import LogPart, LogRun, skip_lines
from iris.host.files import private_folder
from iris.model.errors import InvalidArgument
from iris.model.ids import AttemptUid

T = TypeVar("T")

_UID = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
# Logs whose segments are kept in mind; others are looked at again when they are asked for.
_MAX_OPEN = 4096
_OLD_SUFFIX = ".log"
_SEGMENT_BYTES = 16 << 20
# An attempt's bound is kept to within this share of it.
_SEGMENTS_PER_ATTEMPT = 8


@dataclass(frozen=True, slots=True)
class LogLimits:
    """How much is kept.

    Attributes:
        attempt_bytes: Of one attempt's log; its oldest lines go first.
        total_bytes: Of all logs together; the store only says when there is more.
        segment_bytes: Size of a file from which on another is begun, at most.
    """

    attempt_bytes: int = 1 << 30
    total_bytes: int = 20 << 30
    segment_bytes: int = _SEGMENT_BYTES


@dataclass(frozen=True, slots=True)
class StoredLog:
    """One attempt's log on the disk; `written_at` is Unix time."""

    uid: AttemptUid
    size_bytes: int
    written_at: float


class LogStore:
    """Use from one event loop; files are touched in one thread, in order, which `close` ends.

    Attributes:
        on_full: Called after an append, each time that there is more than LogLimits.total_bytes.
    """

    def __init__(self, folder: Path, limits: LogLimits | None = None) -> None:
        self._folder = folder
        self._limits = limits or LogLimits()
        private_folder(folder)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log-store")
        self._logs: OrderedDict[AttemptUid, AttemptLog] = OrderedDict()
        self._waiters: dict[AttemptUid, set[asyncio.Future[None]]] = {}
        # What was appended less what was removed since `usage` looked; None before it first did.
        self._total: int | None = None
        self.on_full: Callable[[], None] = lambda: None

    @property
    def excess_bytes(self) -> int:
        """By how much all logs together are over their limit; 0 before `usage` first looked."""
        return max(0, (self._total or 0) - self._limits.total_bytes)

    async def append(self, attempt: AttemptUid, first_index: int, runs: Sequence[LogRun]) -> int:
        """Stores what of these lines is not stored yet; returns the number of lines there are now.

        Lines that were sent before are not stored twice. Lines beyond a gap are not stored at all:
        the answer tells the worker from where on to send again.
        """

        def add() -> tuple[int, bool]:
            log = self._open(attempt)
            known = log.next_index - first_index
            new = skip_lines(runs, known) if known >= 0 else ()
            if new:
                before = log.size
                try:
                    log.append(new)
                except OSError:
                    # What the file has now only the file knows: it is read when next asked for.
                    del self._logs[attempt]
                    raise
                self._count(log.size - before)
            return log.next_index, bool(new)

        next_index, grew = await self._in_thread(add)
        if grew:
            self.wake(attempt)
            if self.excess_bytes:
                self.on_full()
        return next_index

    async def next_index(self, attempt: AttemptUid) -> int:
        """How many lines were ever written."""
        return await self._in_thread(lambda: self._open(attempt).next_index)

    async def read(
        self, attempt: AttemptUid, first: int, max_lines: int, max_bytes: int = 1 << 30
    ) -> LogPart:
        """Lines from number `first` on, or from the first that is still there; empty where there
        are none yet. Not many more than `max_bytes`.
        """
        return await self._in_thread(lambda: self._open(attempt).read(first, max_lines, max_bytes))

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

    async def usage(self) -> list[StoredLog]:
        """All logs there are, the one that was written longest ago first. Looks at every file."""

        def look() -> list[StoredLog]:
            found = [
                stored
                for entry in os.scandir(self._folder)
                if (stored := _stored(entry)) is not None
            ]
            self._total = sum(stored.size_bytes for stored in found)
            return sorted(found, key=lambda stored: (stored.written_at, stored.uid))

        return await self._in_thread(look)

    async def cut(self, attempt: AttemptUid) -> None:
        """Removes an attempt's lines, but not how many there were. Idempotent."""

        def remove() -> None:
            log = self._open(attempt)
            before = log.size
            log.cut()
            self._count(log.size - before)

        await self._in_thread(remove)

    async def delete(self, attempt: AttemptUid) -> None:
        """Forgets an attempt's lines. Idempotent."""

        def remove() -> None:
            log = self._open(attempt)
            self._count(-log.size)
            log.delete()
            del self._logs[attempt]

        await self._in_thread(remove)
        self.wake(attempt)

    def close(self) -> None:
        """Finishes what is under way and ends the thread. Idempotent."""
        self._thread.shutdown(wait=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _count(self, more: int) -> None:
        if self._total is not None:
            self._total += more

    def _open(self, attempt: AttemptUid) -> AttemptLog:
        log = self._logs.get(attempt)
        if log is None:
            if not _UID.fullmatch(attempt):
                raise InvalidArgument(
                    f"{attempt!r} is no attempt uid.", hint="It is made by the controller."
                )
            limits = self._limits
            log = self._logs[attempt] = AttemptLog(
                self._folder / attempt,
                self._folder / f"{attempt}{_OLD_SUFFIX}",
                segment_bytes=min(
                    limits.segment_bytes, limits.attempt_bytes // _SEGMENTS_PER_ATTEMPT
                ),
                max_bytes=limits.attempt_bytes,
            )
            if len(self._logs) > _MAX_OPEN:
                self._logs.popitem(last=False)
        self._logs.move_to_end(attempt)
        return log


def _stored(entry: os.DirEntry[str]) -> StoredLog | None:
    """The log that the entry is, or is a part of: an attempt that went on after an upgrade has both
    a file and a folder, which `delete` and `cut` take together.
    """
    uid = entry.name.removesuffix(_OLD_SUFFIX)
    if not _UID.fullmatch(uid):
        return None
    files = os.scandir(entry) if entry.is_dir() else (entry,)
    found = [file.stat() for file in files]
    return StoredLog(
        AttemptUid(uid),
        sum(stat.st_size for stat in found),
        max((stat.st_mtime for stat in found), default=0.0),
    )
