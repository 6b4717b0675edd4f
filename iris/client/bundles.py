"""Bundles on their way to a cluster: packed into a file without a name, read in pieces. Files are
touched in threads only.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from iris_proto import controller_pb2

from iris.bundle import BundleInfo, digest_directory, inspect_archive, pack_directory

_CHUNK_BYTES = 1 << 20


async def measure(folder: Path) -> BundleInfo:
    """What the folder's bundle would be. Raises InvalidArgument for a folder that cannot be one."""
    return await asyncio.to_thread(digest_directory, folder)


@asynccontextmanager
async def packed(folder: Path) -> AsyncIterator[tuple[BinaryIO, BundleInfo]]:
    """The folder as an archive, for the length of the block; nothing is left of it, however the
    process ends.
    """
    # Closing the file on a cancellation also ends the thread that writes to it.
    with tempfile.TemporaryFile(prefix="iris-bundle-") as archive:
        info = await asyncio.to_thread(pack_directory, folder, archive)
        yield archive, info


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[tuple[BinaryIO, BundleInfo]]:
    """An archive that was packed before. Raises InvalidArgument when it is none."""
    with path.open("rb") as archive:
        yield archive, await asyncio.to_thread(inspect_archive, path)


async def upload_requests(
    archive: BinaryIO, digest: str
) -> AsyncIterator[controller_pb2.UploadBundleRequest]:
    """The messages of one upload, from the archive's beginning."""
    archive.seek(0)
    yield controller_pb2.UploadBundleRequest(digest=digest)
    while chunk := await asyncio.to_thread(archive.read, _CHUNK_BYTES):
        yield controller_pb2.UploadBundleRequest(chunk=chunk)
