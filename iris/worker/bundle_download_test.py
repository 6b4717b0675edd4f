"""Archives come over a real server, from any offset, with its errors told as ours."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from iris_proto import controller_pb2, controller_pb2_grpc

from iris.model.errors import IrisError, NotFound, Unauthenticated, Unavailable
from iris.rpc.server import bind, create_server
from iris.worker import bundle_download
from iris.worker.bundle_download import ControllerDownload

TOKEN = "the-token"
ARCHIVE = bytes(range(256)) * 1000


class Bundles(controller_pb2_grpc.BundleServiceServicer):
    """Has one archive. `fails` is raised after the first chunk."""

    def __init__(self) -> None:
        self.fails: IrisError | None = None
        self.stands_still = False

    async def DownloadBundle(
        self, request: controller_pb2.DownloadBundleRequest, context: object
    ) -> AsyncIterator[controller_pb2.DownloadBundleResponse]:
        """See controller.proto."""
        if request.digest != "sha256:known":
            raise NotFound(f"There is no bundle {request.digest}.", hint="Upload it.")
        for at in range(request.offset, len(ARCHIVE), 100_000):
            yield controller_pb2.DownloadBundleResponse(
                chunk=ARCHIVE[at : at + 100_000],
                archive_bytes=len(ARCHIVE) if at == request.offset else 0,
            )
            if self.fails is not None:
                raise self.fails
            if self.stands_still:
                await asyncio.Event().wait()


@pytest.fixture
async def bundles() -> AsyncIterator[tuple[Bundles, str]]:
    servicer = Bundles()
    server = create_server(TOKEN)
    controller_pb2_grpc.add_BundleServiceServicer_to_server(servicer, server)
    port = bind(server, "127.0.0.1", 0)
    await server.start()
    yield servicer, f"127.0.0.1:{port}"
    await server.stop(None)


async def collect(address: str, digest: str, offset: int = 0, token: str = TOKEN) -> bytes:
    return b"".join([chunk async for chunk in ControllerDownload(address, token)(digest, offset)])


@pytest.mark.parametrize("offset", [0, 1, 150_000, len(ARCHIVE)])
async def test_it_comes_from_any_offset(bundles: tuple[Bundles, str], offset: int) -> None:
    assert await collect(bundles[1], "sha256:known", offset) == ARCHIVE[offset:]


async def test_one_that_nobody_has(bundles: tuple[Bundles, str]) -> None:
    with pytest.raises(NotFound, match=r"no bundle sha256:other\. Upload it\."):
        await collect(bundles[1], "sha256:other")


async def test_a_wrong_token(bundles: tuple[Bundles, str]) -> None:
    with pytest.raises(Unauthenticated):
        await collect(bundles[1], "sha256:known", token="wrong")


async def test_what_came_before_it_broke_is_kept(bundles: tuple[Bundles, str]) -> None:
    servicer, address = bundles
    servicer.fails = Unavailable("The controller is stopping.")
    received = b""
    with pytest.raises(Unavailable, match="stopping"):
        async for chunk in ControllerDownload(address, TOKEN)("sha256:known", 0):
            received += chunk
    assert received == ARCHIVE[:100_000]


async def test_one_that_stands_still_is_over(
    bundles: tuple[Bundles, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_download, "_STALL_SECONDS", 0.1)
    servicer, address = bundles
    servicer.stands_still = True
    with pytest.raises(Unavailable, match="stood still"):
        await collect(address, "sha256:known")


async def test_nobody_there() -> None:
    with pytest.raises(Unavailable, match=r"DownloadBundle sha256:known at 127\.0\.0\.1:1"):
        await collect("127.0.0.1:1", "sha256:known")
