"""Gets a bundle's archive from the controller, from wherever an earlier try broke off."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from iris_proto import controller_pb2, controller_pb2_grpc

from iris.model.errors import Unavailable
from iris.rpc.channels import TRANSFER_DEADLINE, open_channel
from iris.rpc.errors import rpc_errors

Download = Callable[[str, int], AsyncIterator[bytes]]
"""(digest, offset) -> the archive's bytes from there on.

Raises NotFound where nobody has it, Unavailable or DeadlineExceeded where to ask again may help.
"""

# A transfer that moves nothing for so long is over, though the connection may stand.
_STALL_SECONDS = 30.0


class ControllerDownload:
    """A Download. Opens a channel for each, on the event loop that asks."""

    def __init__(self, controller_address: str, token: str) -> None:
        self._address = controller_address
        self._token = token

    async def __call__(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        """See Download."""
        channel = open_channel(self._address, self._token)
        try:
            stub: Any = controller_pb2_grpc.BundleServiceStub(channel)
            request = controller_pb2.DownloadBundleRequest(digest=digest, offset=offset)
            call = stub.DownloadBundle(request, timeout=TRANSFER_DEADLINE.total_seconds())
            with rpc_errors(f"DownloadBundle {digest} at {self._address}"):
                while True:
                    try:
                        async with asyncio.timeout(_STALL_SECONDS):
                            message = await call.read()
                    except TimeoutError as error:
                        raise Unavailable(
                            f"The download of {digest} stood still for {_STALL_SECONDS:g} s."
                        ) from error
                    if message is grpc.aio.EOF:
                        return
                    yield message.chunk
        finally:
            await channel.close()
