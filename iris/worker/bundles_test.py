"""Bundles come whole or not at all, once, and stay while they are used."""

import asyncio
import io
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iris.bundle import pack_directory
from iris.model.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from iris.testing.clock import FakeClock, settle
from iris.testing.eventually import assert_eventually
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


async def provider(
    tmp_path: Path, server: Server, *, max_bytes: int = 1 << 30
) -> CachedBundleProvider:
    bundles = CachedBundleProvider(
        tmp_path / "cache",
        server.download,
        max_bytes=max_bytes,
        clock=ImpatientClock(),
        rng=random.Random(0),
    )
    await bundles.start()
    return bundles


def silent(_: str) -> None:
    pass


def cached(tmp_path: Path) -> list[str]:
    """What the folder holds, without the lock."""
    return sorted(path.name for path in (tmp_path / "cache").iterdir() if path.name != "lock")


def entry(digest: str) -> list[str]:
    """The names of one whole entry."""
    key = digest.removeprefix("sha256:")
    return [key, f"{key}.size"]


async def test_a_bundle_is_downloaded_once_and_said_to_be(tmp_path: Path, server: Server) -> None:
    digest = server.add("a")
    bundles = await provider(tmp_path, server)
    said: list[str] = []
    first = await bundles.fetch(digest, said.append)
    second = await bundles.fetch(digest, said.append)
    assert (first.path / "main.py").read_bytes() == b"a" * 1000
    assert first.path == second.path
    assert server.asked == [(digest, 0)]
    assert said == [
        f"Fetching the bundle {digest}.",
        f"Bundle {digest}: 1 files, 1000 B, here after 0.0 s.",
    ]
    assert cached(tmp_path) == entry(digest)


async def test_many_callers_at_once_share_one_download(tmp_path: Path, server: Server) -> None:
    digest = server.add("a")
    bundles = await provider(tmp_path, server)
    leases = await asyncio.gather(*(bundles.fetch(digest, silent) for _ in range(20)))
    assert len({lease.path for lease in leases}) == 1
    assert len(server.asked) == 1


async def test_a_broken_download_goes_on_where_it_broke_off(tmp_path: Path, server: Server) -> None:
    digest = server.add("a")
    server.break_after = [10, 20, 1, 1, 1, 1, 1]
    said: list[str] = []
    lease = await (await provider(tmp_path, server)).fetch(digest, said.append)
    assert (lease.path / "main.py").exists()
    assert [offset for _, offset in server.asked] == [0, 10, 30, 31, 32, 33, 34, 35]
    assert said[1] == "The download stopped at 10 B: the connection broke Trying again."


async def test_one_that_brings_nothing_is_given_up(tmp_path: Path, server: Server) -> None:
    digest = server.add("a")
    server.break_after = [5] + [0] * 5
    bundles = await provider(tmp_path, server)
    with pytest.raises(Unavailable, match="the connection broke"):
        await bundles.fetch(digest, silent)
    assert cached(tmp_path) == []
    await bundles.fetch(digest, silent)
    assert cached(tmp_path) == entry(digest)


async def test_wrong_content_is_refused_and_nothing_of_it_is_kept(
    tmp_path: Path, server: Server
) -> None:
    right, wrong = server.add("a"), server.add("b")
    server.archives[right] = server.archives[wrong]
    bundles = await provider(tmp_path, server)
    with pytest.raises(DataLoss, match="digest"):
        await bundles.fetch(right, silent)
    assert cached(tmp_path) == []


@pytest.mark.parametrize("digest", ["", "sha256:00", "../../etc", "sha256:" + "0" * 63 + "/"])
async def test_what_is_no_digest_never_becomes_a_path(
    tmp_path: Path, server: Server, digest: str
) -> None:
    with pytest.raises(InvalidArgument, match="no bundle digest"):
        await (await provider(tmp_path, server)).fetch(digest, silent)
    assert server.asked == []


async def test_one_that_nobody_has_says_so(tmp_path: Path, server: Server) -> None:
    with pytest.raises(NotFound, match="Upload"):
        await (await provider(tmp_path, server)).fetch("sha256:" + "0" * 64, silent)
    assert cached(tmp_path) == []


async def test_a_full_disk_is_said_and_nothing_is_kept(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    digest = server.add("a")
    bundles = await provider(tmp_path, server)
    monkeypatch.setattr("iris.worker.bundles.unpack", full)
    with pytest.raises(ResourceExhausted, match="No space left"):
        await bundles.fetch(digest, silent)
    assert cached(tmp_path) == []


async def test_a_cancelled_caller_does_not_end_the_download_of_others(
    tmp_path: Path, server: Server
) -> None:
    digest = server.add("a")
    server.gate.clear()
    bundles = await provider(tmp_path, server)
    first, second = (asyncio.create_task(bundles.fetch(digest, silent)) for _ in range(2))
    await assert_eventually(lambda: server.asked, "a download")
    first.cancel()
    await settle()
    server.gate.set()
    assert (await second).path.exists()
    assert len(server.asked) == 1


async def test_a_download_that_nobody_waits_for_any_more_is_for_the_next(
    tmp_path: Path, server: Server
) -> None:
    digest = server.add("a")
    server.gate.clear()
    bundles = await provider(tmp_path, server)
    first = asyncio.create_task(bundles.fetch(digest, silent))
    await assert_eventually(lambda: server.asked, "a download")
    first.cancel()
    server.gate.set()
    await assert_eventually(lambda: cached(tmp_path) == entry(digest), "the bundle is there")
    await bundles.fetch(digest, silent)
    assert len(server.asked) == 1
    assert bundles._downloads == {}


async def test_the_least_recently_used_go_first_and_never_one_in_use(
    tmp_path: Path, server: Server
) -> None:
    digests = [server.add(name) for name in "abcd"]
    bundles = await provider(tmp_path, server, max_bytes=2500)
    leases = [await bundles.fetch(digest, silent) for digest in digests[:2]]
    leases[1].release()
    leases[1].release()
    for digest in digests[2:]:
        (await bundles.fetch(digest, silent)).release()
    assert cached(tmp_path) == sorted(entry(digests[0]) + entry(digests[3]))
    assert (leases[0].path / "main.py").exists()


async def test_what_is_in_use_may_exceed_the_bound(tmp_path: Path, server: Server) -> None:
    digests = [server.add(name) for name in "abc"]
    bundles = await provider(tmp_path, server, max_bytes=1)
    leases = await asyncio.gather(*(bundles.fetch(digest, silent) for digest in digests))
    assert all((lease.path / "main.py").exists() for lease in leases)


async def test_a_new_process_uses_what_is_whole_and_removes_what_is_not(
    tmp_path: Path, server: Server
) -> None:
    digest = server.add("a")
    before = await provider(tmp_path, server)
    (await before.fetch(digest, silent)).release()
    await before.close()
    cache = tmp_path / "cache"
    for name in (".unpacking-left", "0" * 64, ".removing-" + "1" * 64):
        (cache / name).mkdir()
        (cache / name / "half").write_text("")
    (cache / f"{'2' * 64}.archive").write_text("")
    (cache / f"{'3' * 64}.size").write_text("10")
    server.asked.clear()
    lease = await (await provider(tmp_path, server)).fetch(digest, silent)
    assert (lease.path / "main.py").exists()
    assert server.asked == []
    assert cached(tmp_path) == entry(digest)


async def test_a_new_process_knows_what_was_used_last(tmp_path: Path, server: Server) -> None:
    digests = [server.add(name) for name in "ab"]
    before = await provider(tmp_path, server)
    for digest in digests:
        (await before.fetch(digest, silent)).release()
    await before.close()
    os.utime(tmp_path / "cache" / entry(digests[1])[1], (0, 0))
    after = await provider(tmp_path, server, max_bytes=2500)
    third = server.add("c")
    (await after.fetch(third, silent)).release()
    assert cached(tmp_path) == sorted(entry(digests[0]) + entry(third))


async def test_a_folder_is_for_one_process(tmp_path: Path, server: Server) -> None:
    first = await provider(tmp_path, server)
    with pytest.raises(FailedPrecondition, match="another process"):
        await provider(tmp_path, server)
    await first.close()
    await (await provider(tmp_path, server)).close()


async def test_closing_ends_a_download(tmp_path: Path, server: Server) -> None:
    digest = server.add("a")
    server.gate.clear()
    bundles = await provider(tmp_path, server)
    waiting = asyncio.create_task(bundles.fetch(digest, silent))
    await assert_eventually(lambda: server.asked, "a download")
    await bundles.close()
    with pytest.raises(Unavailable, match="closed"):
        await waiting
    assert cached(tmp_path) == []
