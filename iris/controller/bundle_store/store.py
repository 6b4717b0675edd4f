"""Takes in archives, checks that they are what they claim to be, keeps them, and hands them out
from any offset.

An archive is written under a temporary name and renamed once it was verified, so that under a
digest's name there is never anything but that bundle, whole.
"""

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from iris.bundle import BundleMismatch, inspect_archive
from iris.host.files import private_folder
from iris.model.errors import InvalidArgument, NotFound, ResourceExhausted
from iris.model.resources import format_bytes

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_INCOMING_PREFIX = ".incoming-"
_CHUNK_BYTES = 1 << 20


class BundleStore:
    """Use from one event loop; files are touched in threads.

    Args:
        folder: Made if it is not there. What an earlier process left half received is removed.
        max_bytes: The largest archive that is taken.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        private_folder(folder)
        for abandoned in folder.glob(f"{_INCOMING_PREFIX}*"):
            abandoned.unlink()

    def has(self, digest: str) -> bool:
        """Whether the bundle is here. Raises InvalidArgument for what is no digest."""
        return self._path(digest).exists()

    async def receive(self, digest: str, chunks: AsyncIterator[bytes]) -> int:
        """Stores the archive that the chunks make up; returns its size in bytes.

        Raises InvalidArgument (not an archive, or an unsafe one), DataLoss (its content has another
        digest) or ResourceExhausted (too large); nothing is kept then.
        """
        target = self._path(digest)
        descriptor, name = tempfile.mkstemp(prefix=_INCOMING_PREFIX, dir=self._folder)
        incoming = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                size = 0
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._max_bytes:
                        raise self._too_large()
                    await asyncio.to_thread(out.write, chunk)
                await asyncio.to_thread(_sync, out)
            info = await asyncio.to_thread(inspect_archive, incoming)
            if info.digest != digest:
                raise BundleMismatch(
                    f"The bundle's content has the digest {info.digest}, not {digest}.",
                    hint="Send it again.",
                )
            os.replace(incoming, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(incoming)
        return size

    def size(self, digest: str) -> int:
        """The archive's size in bytes. Raises NotFound."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            raise _not_here(digest) from None

    async def read(self, digest: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The archive's bytes from `offset` on.

        Raises NotFound; InvalidArgument for an offset outside of it.
        """
        size = self.size(digest)
        if not 0 <= offset <= size:
            raise InvalidArgument(
                f"The offset {offset} is outside of the archive's {size} bytes.", hint="Begin at 0."
            )
        with self._path(digest).open("rb") as archive:
            archive.seek(offset)
            while chunk := await asyncio.to_thread(archive.read, _CHUNK_BYTES):
                yield chunk

    def _path(self, digest: str) -> Path:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise InvalidArgument(
                f"{digest!r} is no bundle digest.", hint="It is sha256: and 64 hex digits."
            )
        return self._folder / f"{match[1]}.bundle"

    def _too_large(self) -> ResourceExhausted:
        return ResourceExhausted(
            f"The bundle is larger than the {format_bytes(self._max_bytes)} that this cluster takes.",
            hint="Leave out what the job does not read (name it in .irisignore), or raise submission.max_bundle_size.",
        )


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _not_here(digest: str) -> NotFound:
    return NotFound(f"The controller has no bundle {digest}.", hint="Upload it first.")
