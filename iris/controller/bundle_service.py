"""Uploading and downloading bundles."""

from collections.abc import AsyncIterator

from iris_proto import controller_pb2, controller_pb2_grpc

from iris.controller.bundle_store import BundleStore
from iris.model.errors import InvalidArgument


class BundleService(controller_pb2_grpc.BundleServiceServicer):
    """See controller.proto."""

    def __init__(self, bundles: BundleStore) -> None:
        self._bundles = bundles

    async def HasBundle(
        self, request: controller_pb2.HasBundleRequest, context: object
    ) -> controller_pb2.HasBundleResponse:
        """Whether an upload can be skipped."""
        return controller_pb2.HasBundleResponse(present=self._bundles.has(request.digest))

    async def UploadBundle(
        self, request_iterator: AsyncIterator[controller_pb2.UploadBundleRequest], context: object
    ) -> controller_pb2.UploadBundleResponse:
        """Answers once the bundle was verified and is kept."""
        requests = aiter(request_iterator)
        first = await anext(requests, None)
        if first is None or not first.digest:
            raise InvalidArgument("The upload does not begin with the bundle's digest.")

        async def chunks() -> AsyncIterator[bytes]:
            if first.chunk:
                yield first.chunk
            async for request in requests:
                yield request.chunk

        size = await self._bundles.receive(first.digest, chunks())
        return controller_pb2.UploadBundleResponse(archive_bytes=size)

    async def DownloadBundle(
        self, request: controller_pb2.DownloadBundleRequest, context: object
    ) -> AsyncIterator[controller_pb2.DownloadBundleResponse]:
        """The archive from an offset on; its size goes with the first message."""
        total = self._bundles.size(request.digest)
        sent = False
        async for chunk in self._bundles.read(request.digest, request.offset):
            yield controller_pb2.DownloadBundleResponse(
                chunk=chunk, archive_bytes=0 if sent else total
            )
            sent = True
        if not sent:
            yield controller_pb2.DownloadBundleResponse(archive_bytes=total)
