"""The worker's cache of unpacked bundles: content-addressed, bounded, each downloaded once."""

import asyncio
import functools
import logging
import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from iris.bundle import BundleInfo, unpack
from iris.host.clock import Clock
from iris.host.files import FileLock, atomic_write, private_folder
from iris.model.errors import (
    FailedPrecondition,
    InvalidArgument,
    IrisError,
    ResourceExhausted,
    Unavailable,
)
from iris.model.resources import format_bytes
from iris.worker.blocking import remove_tree, run_in_thread
from iris.worker.bundle_download import Download
from iris.worker.protocols import BundleLease
from iris.worker.stream.backoff import Backoff

_log = logging.getLogger(__name__)

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
# Tries in a row that bring not one byte.
_MAX_FRUITLESS_TRIES = 5
_PROGRESS_SECONDS = 5.0
_LOCK = "lock"
_ARCHIVE_SUFFIX = ".archive"
_SIZE_SUFFIX = ".size"
_REMOVING_PREFIX = ".removing-"


@dataclass(slots=True)
class _Entry:
    size: int
    last_used: float
    leases: int = 0


@dataclass(slots=True)
class _Download:
    """One under way, for all who wait for it; once it is done, until the last of them has a lease."""

    task: "asyncio.Task[None] | None" = None
    listeners: list[Callable[[str], None]] = field(default_factory=list)

    def say(self, text: str) -> None:
        for listener in self.listeners:
            listener(text)


class CachedBundleProvider:
    """A BundleProvider. One per process, one process per folder; belongs to one event loop.

    An entry is the folder `<hex>`, which appears complete and verified by one rename, and the file
    `<hex>.size`, whose modification time is that of its last use. Anything else is from a process
    that was killed, and goes at the next start.

    Args:
        max_bytes: Of unpacked bundles. The least recently used go first, leased ones never: while
            more than that is in use there is more.
    """

    def __init__(
        self,
        folder: Path,
        download: Download,
        *,
        max_bytes: int,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._folder = folder
        self._source = download
        self._max_bytes = max_bytes
        self._clock = clock
        self._rng = rng
        self._lock = FileLock(folder / _LOCK)
        self._entries: dict[str, _Entry] = {}
        self._downloads: dict[str, _Download] = {}
        self._is_closed = False

    async def start(self) -> None:
        """Takes the folder and finds what is in it. Idempotent.

        Raises FailedPrecondition if it cannot be used or another process has it.
        """
        await asyncio.to_thread(self._open)

    async def close(self) -> None:
        """Ends downloads under way; what is cached stays. Idempotent."""
        self._is_closed = True
        tasks = [one.task for one in self._downloads.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._lock.let_go()

    async def fetch(self, digest: str, say: Callable[[str], None]) -> BundleLease:
        """See BundleProvider. Also raises InvalidArgument for what is no digest or no bundle, and
        ResourceExhausted when the disk is full.
        """
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise InvalidArgument(f"{digest!r} is no bundle digest.", hint="It is sha256:<64 hex>.")
        key = match[1]
        if key not in self._entries:
            await self._join_download(key, digest, say)
        # Nothing came between: an entry just downloaded is not evicted before this.
        return self._lease(key)

    async def _join_download(self, key: str, digest: str, say: Callable[[str], None]) -> None:
        """Waits for the one download, with all others who do. It goes on when they are cancelled:
        what it brings is for whoever comes next.
        """
        download = self._downloads.get(key)
        if download is None:
            download = self._downloads[key] = _Download()
            download.task = asyncio.create_task(self._download(key, digest, download.say))
            download.task.add_done_callback(lambda task: self._tidy(key))
        assert download.task is not None
        download.listeners.append(say)
        try:
            await asyncio.shield(download.task)
        except asyncio.CancelledError:
            if self._is_closed and download.task.cancelled():
                raise Unavailable(
                    f"The bundle {digest} is not here: the cache is closed."
                ) from None
            raise
        finally:
            download.listeners.remove(say)
            self._tidy(key)

    def _tidy(self, key: str) -> None:
        """Forgets a download that is over once nobody waits for it. Until all who did have a lease,
        nobody evicts what it brought.
        """
        download = self._downloads.get(key)
        if download is None or download.task is None or not download.task.done():
            return
        if not download.listeners:
            del self._downloads[key]
        if not download.task.cancelled():
            download.task.exception()  # whoever waited has it; if nobody did, it needs no word

    def _lease(self, key: str) -> BundleLease:
        entry = self._entries[key]
        entry.leases += 1
        entry.last_used = self._clock.now().timestamp()
        os.utime(self._path(key, _SIZE_SUFFIX), (entry.last_used, entry.last_used))
        released = False

        def release() -> None:
            nonlocal released
            if not released:
                released = True
                entry.leases -= 1

        return BundleLease(self._folder / key, release)

    async def _download(self, key: str, digest: str, say: Callable[[str], None]) -> None:
        archive = self._path(key, _ARCHIVE_SUFFIX)
        began = self._clock.monotonic()
        try:
            with archive.open("wb") as file:
                await self._fill(file, digest, say)
            unpack_here = functools.partial(unpack, expected_digest=digest)
            info = await run_in_thread(unpack_here, archive, self._folder / key)
            await self._keep(key, info)
        except OSError as error:
            raise ResourceExhausted(
                f"The bundle {digest} could not be kept: {error.strerror or error}.",
                hint=f"Make room on the disk of {self._folder}.",
            ) from error
        finally:
            archive.unlink(missing_ok=True)
        seconds = self._clock.monotonic() - began
        size = format_bytes(info.content_bytes)
        say(f"Bundle {digest}: {info.entries} files, {size}, here after {seconds:.1f} s.")

    async def _fill(self, file: BinaryIO, digest: str, say: Callable[[str], None]) -> None:
        """The whole archive, however often the connection breaks, as long as each one brings some."""
        say(f"Fetching the bundle {digest}.")
        backoff = Backoff(self._rng)
        while True:
            before = file.tell()
            try:
                await self._append(file, digest, say)
                return
            except IrisError as error:
                if not error.retryable:
                    raise
                if file.tell() > before:
                    backoff.reset()
                elif backoff.tries + 1 >= _MAX_FRUITLESS_TRIES:
                    raise Unavailable(
                        f"The bundle {digest} could not be downloaded: {error}",
                        hint=f"Tried {_MAX_FRUITLESS_TRIES} times without a byte.",
                    ) from error
                say(f"The download stopped at {format_bytes(file.tell())}: {error} Trying again.")
            await self._clock.sleep(backoff.next())

    async def _append(self, file: BinaryIO, digest: str, say: Callable[[str], None]) -> None:
        said_at = self._clock.monotonic()
        async for data in self._source(digest, file.tell()):
            await run_in_thread(file.write, data)
            if self._clock.monotonic() - said_at >= _PROGRESS_SECONDS:
                said_at = self._clock.monotonic()
                say(f"{format_bytes(file.tell())} so far.")

    async def _keep(self, key: str, info: BundleInfo) -> None:
        size = self._path(key, _SIZE_SUFFIX)
        await run_in_thread(atomic_write, size, str(info.content_bytes).encode())
        self._entries[key] = _Entry(info.content_bytes, self._clock.now().timestamp())
        await self._evict()

    async def _evict(self) -> None:
        """Down to the bound, as far as nobody uses or is about to use what would have to go."""
        used = sum(entry.size for entry in self._entries.values())
        for key, entry in sorted(self._entries.items(), key=lambda item: item[1].last_used):
            if used <= self._max_bytes:
                return
            if entry.leases or key in self._downloads:
                continue
            used -= entry.size
            del self._entries[key]
            self._path(key, _SIZE_SUFFIX).unlink()
            gone = (self._folder / key).rename(self._folder / f"{_REMOVING_PREFIX}{key}")
            _log.info("bundle %s evicted", key)
            await run_in_thread(remove_tree, gone)

    def _open(self) -> None:
        private_folder(self._folder)
        if not self._lock.acquire():
            raise FailedPrecondition(
                f"The bundle cache {self._folder} is in use by another process.",
                hint="Give each process its own.",
            )
        for size in self._folder.glob(f"*{_SIZE_SUFFIX}"):
            if (self._folder / size.stem).is_dir():
                self._entries.setdefault(
                    size.stem, _Entry(int(size.read_text()), size.stat().st_mtime)
                )
        known = {_LOCK, *self._entries, *(f"{key}{_SIZE_SUFFIX}" for key in self._entries)}
        for left in self._folder.iterdir():
            if left.name in known:
                continue
            if left.is_dir() and not left.is_symlink():
                remove_tree(left)
            else:
                left.unlink()

    def _path(self, key: str, suffix: str) -> Path:
        return self._folder / f"{key}{suffix}"
