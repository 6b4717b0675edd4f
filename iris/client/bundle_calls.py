"""The calls about bundles."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, BinaryIO

from iris_proto import controller_pb2

from iris.bundle import BundleInfo, unpack
from iris.client.bundles import measure, opened, packed, upload_requests
from iris.client.caller import Caller
from iris.client.views import UploadedBundle
from iris.model.errors import AlreadyExists


class BundleCalls(Caller):
    """Sends and fetches folders."""

    async def upload_bundle(
        self, folder: Path, *, measured: Callable[[BundleInfo], None] | None = None
    ) -> UploadedBundle:
        """Makes sure that the cluster has the folder as it is now; nothing is sent if it has the
        same content already.

        Raises InvalidArgument for what cannot be packed, naming the file.

        Args:
            measured: Told what the bundle is before it is packed and sent.
        """
        info = await measure(folder)
        if measured is not None:
            measured(info)
        if await self._has_bundle(info.digest):
            return _uploaded(info, sent=False)
        async with packed(folder) as (archive, info):
            return await self._send_bundle(archive, info)

    async def upload_archive(self, path: Path) -> UploadedBundle:
        """Makes sure that the cluster has a bundle that was packed before. Raises InvalidArgument
        if it is none.
        """
        async with opened(path) as (archive, info):
            if await self._has_bundle(info.digest):
                return _uploaded(info, sent=False)
            return await self._send_bundle(archive, info)

    async def download_bundle(self, digest: str, folder: Path) -> None:
        """Makes `folder` a copy of a bundle that the cluster has, all or nothing.

        Raises NotFound; AlreadyExists if there is such a folder.
        """
        if await asyncio.to_thread(folder.exists):  # before anything is sent; unpacking looks again
            raise AlreadyExists(f"{str(folder)!r} exists.", hint="Name a new folder.")
        with tempfile.TemporaryFile(prefix="iris-bundle-") as archive:

            async def download(_: object, timeout: float) -> None:
                start = archive.seek(0, os.SEEK_END)
                request = controller_pb2.DownloadBundleRequest(digest=digest, offset=start)
                async for message in self._bundles.DownloadBundle(request, timeout=timeout):
                    await asyncio.to_thread(archive.write, message.chunk)

            within = self._options.transfer_timeout
            await self._call("DownloadBundle", download, None, within=within)
            archive.seek(0)
            await asyncio.to_thread(unpack, archive, folder, expected_digest=digest)

    async def _has_bundle(self, digest: str) -> bool:
        request = controller_pb2.HasBundleRequest(digest=digest)
        answer = await self._call("HasBundle", self._bundles.HasBundle, request)
        return bool(answer.present)

    async def _send_bundle(self, archive: BinaryIO, info: BundleInfo) -> UploadedBundle:
        within = self._options.transfer_timeout

        def upload(_: object, timeout: float) -> Awaitable[Any]:
            return self._bundles.UploadBundle(
                upload_requests(archive, info.digest), timeout=timeout
            )

        await self._call("UploadBundle", upload, None, within=within)
        return _uploaded(info, sent=True)


def _uploaded(info: BundleInfo, *, sent: bool) -> UploadedBundle:
    return UploadedBundle(info.digest, info.entries, info.content_bytes, sent)
