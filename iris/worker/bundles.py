"""The worker's cache of unpacked bundles: content-addressed, bounded, each downloaded once."""

import functools
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from iris.bundle import BundleInfo, BundleLimits, BundleTooLarge, InvalidBundle, unpack
from iris.host.clock import Clock
from iris.model.errors import DataLoss, InvalidArgument, IrisError, Unavailable
from iris.model.resources import format_bytes
from iris.worker.blocking import run_in_thread
from iris.worker.bundle_download import Download
from iris.worker.protocols import BundleLease
from iris.worker.stream.backoff import Backoff
from iris.worker.tree_cache import Say, TreeCache

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
# Tries in a row that bring not one byte.
_MAX_FRUITLESS_TRIES = 5
_PROGRESS_SECONDS = 5.0
_ARCHIVE_SUFFIX = ".archive"


class CachedBundleProvider:
    """A BundleProvider. One per process, one process per folder; belongs to one event loop.

    See TreeCache for how they are kept. A download goes on when nobody waits for it any more: what
    it brings is for whoever comes next.

    Args:
        max_bytes: Of unpacked bundles.
        limits: Of what one bundle may be.
    """

    def __init__(
        self,
        folder: Path,
        download: Download,
        *,
        max_bytes: int,
        clock: Clock,
        rng: random.Random,
        limits: BundleLimits | None = None,
    ) -> None:
        self._source = download
        self._clock = clock
        self._rng = rng
        self._limits = limits or BundleLimits()
        self._cache = TreeCache(
            folder, what="bundle", max_bytes=max_bytes, clock=clock, outlives_callers=True
        )

    async def start(self) -> None:
        """Takes the folder and finds what is in it. Idempotent.

        Raises FailedPrecondition if it cannot be used or another process has it.
        """
        await self._cache.start()

    async def close(self) -> None:
        """Ends downloads under way; what is cached stays. Idempotent."""
        await self._cache.close()

    async def fetch(self, digest: str, say: Callable[[str], None]) -> BundleLease:
        """See BundleProvider. Also raises InvalidArgument for what is no digest or no bundle, and
        ResourceExhausted when the disk is full or the bundle is too large.
        """
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise InvalidArgument(f"{digest!r} is no bundle digest.", hint="It is sha256:<64 hex>.")
        lease = await self._cache.get(match[1], functools.partial(self._download, digest), say)
        return BundleLease(lease.path, lease.release)

    async def _download(self, digest: str, path: Path, say: Say) -> None:
        archive = path.with_name(path.name + _ARCHIVE_SUFFIX)
        began = self._clock.monotonic()
        with archive.open("wb") as file:
            in_pieces = await self._fill(file, digest, say)
        try:
            info = await self._unpack(archive, path, digest)
        except (DataLoss, InvalidBundle):
            if not in_pieces:
                raise
            # The same bundle packed by two versions of Python need not be the same archive.
            say("What came in pieces does not fit together. Fetching it anew, in one.")
            with archive.open("wb") as file:
                await self._append(file, digest, say)
            info = await self._unpack(archive, path, digest)
        archive.unlink()
        seconds = self._clock.monotonic() - began
        size = format_bytes(info.content_bytes)
        files = "1 file" if info.entries == 1 else f"{info.entries:,} files"
        say(f"Bundle {digest}: {files}, {size}, here after {seconds:.1f} s.")

    async def _unpack(self, archive: Path, path: Path, digest: str) -> BundleInfo:
        unpack_here = functools.partial(unpack, expected_digest=digest, limits=self._limits)
        return await run_in_thread(unpack_here, archive, path)

    async def _fill(self, file: BinaryIO, digest: str, say: Say) -> bool:
        """The whole archive, however often the connection breaks, as long as each one brings some.
        Returns whether more than one had to.
        """
        say(f"Fetching the bundle {digest}.")
        backoff = Backoff(self._rng)
        while True:
            before = file.tell()
            try:
                await self._append(file, digest, say)
                return before > 0
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

    async def _append(self, file: BinaryIO, digest: str, say: Say) -> None:
        said_at = self._clock.monotonic()
        async for data in self._source(digest, file.tell()):
            if file.tell() + len(data) > self._limits.archive_bytes:
                raise BundleTooLarge(
                    f"The archive of the bundle {digest} has more than "
                    f"{format_bytes(self._limits.archive_bytes)}.",
                    hint="No bundle within the limits has that much.",
                )
            await run_in_thread(file.write, data)
            if self._clock.monotonic() - said_at >= _PROGRESS_SECONDS:
                said_at = self._clock.monotonic()
                say(f"{format_bytes(file.tell())} so far.")
