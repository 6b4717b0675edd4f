"""Bundles come whole or not at all, once, and stay while they are used."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iris.bundle import pack_directory
from iris.model.errors import DataLoss, NotFound, Unavailable
from iris.testing.clock import FakeClock
from iris.worker.bundles import CachedBundleProvider


class Server:
    """Hands out archives; can break off, wait, or lie. Counts what it was asked for."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.archives: dict[str, bytes] = {}
        self.asked: list[tuple[str, int]] = []
        self.break_after: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def add(self, name: str, size: int = 1000) -> str:
        source = self._root / f"source-{name}"
        source.mkdir()
        (source / "main.py").write_bytes(name.encode() * size)
        out = io.BytesIO()
        digest = pack_directory(source, out).digest
        self.archives[digest] = out.getvalue()
        return digest

    async def download(self, digest: str, offset: int) -> AsyncIterator[bytes]:
        self.asked.append((digest, offset))
        await self.gate.wait()
        if digest not in self.archives:
            raise NotFound(f"no bundle {digest}", hint="Upload it.")
        data = self.archives[digest][offset:]
        if self.break_after:
            yield data[: self.break_after.pop(0)]
            raise Unavailable("the connection broke")
        yield data


class ImpatientClock(FakeClock):
    """Every sleep is over at once."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def provider(tmp_path: Path, server: Server, *, max_bytes: int = 1 << 30) -> CachedBundleProvider:
    return CachedBundleProvider(
        tmp_path / "cache", server.download, max_bytes=max_bytes, clock=ImpatientClock()
    )


def silent(_: str) -> None:
    pass


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").iterdir())


async def test_a_bundle_is_downloaded_once_and_said_to_be(tmp_path: Path, server: Server) -> None:
    digest = server.add("a")
    bundles = provider(tmp_path, server)
    said: list[str] = []
    first = await bundles.fetch(digest, said.append)
    second = await bundles.fetch(digest, said.append)
    assert (first.path / "main.py").read_bytes() == b"a" * 1000
    assert first.path == second.path
    assert server.asked == [(digest, 0)]
    assert said == [f"fetching bundle {digest}", "bundle is there: 1000 B"]


async def test_many_callers_at_once_share_one_download(tmp_path: Path, server: Server) -> None:
    digest = server.add("a")
    bundles = provider(tmp_path, server)
    leases = await asyncio.gather(*(bundles.fetch(digest, silent) for _ in range(20)))
    assert len({lease.path for lease in leases}) == 1
    assert len(server.asked) == 1


async def test_a_broken_download_goes_on_where_it_broke_off(tmp_path: Path, server: Server) -> None:
    digest = server.add("a")
    server.break_after = [10, 20]
    lease = await provider(tmp_path, server).fetch(digest, silent)
    assert (lease.path / "main.py").exists()
    assert [offset for _, offset in server.asked] == [0, 10, 30]


async def test_one_that_keeps_breaking_is_given_up_and_gone_on_with_later(
    tmp_path: Path, server: Server
) -> None:
    digest = server.add("a")
    server.break_after = [5, 5, 5, 5]
    bundles = provider(tmp_path, server)
    with pytest.raises(Unavailable):
        await bundles.fetch(digest, silent)
    await bundles.fetch(digest, silent)
    assert server.asked[-1] == (digest, 20)


async def test_wrong_content_is_refused_and_nothing_of_it_is_kept(
    tmp_path: Path, server: Server
) -> None:
    right, wrong = server.add("a"), server.add("b")
    server.archives[right] = server.archives[wrong]
    bundles = provider(tmp_path, server)
    with pytest.raises(DataLoss, match="digest"):
        await bundles.fetch(right, silent)
    assert cached(tmp_path) == []


async def test_one_that_nobody_has_says_so(tmp_path: Path, server: Server) -> None:
    with pytest.raises(NotFound, match="Upload"):
        await provider(tmp_path, server).fetch("sha256:" + "0" * 64, silent)


async def test_a_cancelled_caller_does_not_end_the_download_of_others(
    tmp_path: Path, server: Server
) -> None:
    digest = server.add("a")
    server.gate.clear()
    bundles = provider(tmp_path, server)
    first, second = (asyncio.create_task(bundles.fetch(digest, silent)) for _ in range(2))
    while not server.asked:
        await asyncio.sleep(0)
    first.cancel()
    server.gate.set()
    assert (await second).path.exists()
    assert len(server.asked) == 1


async def test_the_least_recently_used_go_first_and_never_one_in_use(
    tmp_path: Path, server: Server
) -> None:
    digests = [server.add(name) for name in "abcd"]
    bundles = provider(tmp_path, server, max_bytes=2500)
    leases = [await bundles.fetch(digest, silent) for digest in digests[:2]]
    leases[1].release()
    leases[1].release()
    for digest in digests[2:]:
        (await bundles.fetch(digest, silent)).release()
    kept = {name.replace("-", ":") for name in cached(tmp_path)}
    assert kept == {digests[0], digests[3]}


async def test_a_new_process_uses_what_is_whole_and_removes_what_is_not(
    tmp_path: Path, server: Server
) -> None:
    digest = server.add("a")
    (await provider(tmp_path, server).fetch(digest, silent)).release()
    (tmp_path / "cache" / ".unpacking-left").mkdir()
    server.asked.clear()
    lease = await provider(tmp_path, server).fetch(digest, silent)
    assert (lease.path / "main.py").exists()
    assert server.asked == []
    assert len(cached(tmp_path)) == 1


async def test_closing_ends_a_download(tmp_path: Path, server: Server) -> None:
    digest = server.add("a")
    server.gate.clear()
    bundles = provider(tmp_path, server)
    waiting = asyncio.create_task(bundles.fetch(digest, silent))
    while not server.asked:
        await asyncio.sleep(0)
    await bundles.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
