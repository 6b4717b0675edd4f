"""Bundles come whole or not at all, once, and stay while they are used."""

import asyncio
import gzip
import io
import os
import random
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iris.bundle import BundleLimits, BundleTooLarge, InvalidBundle, pack_directory
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
        self.replace_after_break: dict[str, bytes] = {}
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
            self.archives.update(self.replace_after_break)
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
    tmp_path: Path,
    server: Server,
    *,
    max_bytes: int = 1 << 30,
    limits: BundleLimits | None = None,
) -> CachedBundleProvider:
    bundles = CachedBundleProvider(
        tmp_path / "cache",
        server.download,
        max_bytes=max_bytes,
        clock=ImpatientClock(),
        rng=random.Random(0),
        limits=limits,
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
    return [key, f"{key}.json"]


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
        f"Bundle {digest}: 1 file, 1000 B, here after 0.0 s.",
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


async def test_pieces_of_two_archives_of_one_bundle_are_fetched_anew(
    tmp_path: Path, server: Server
) -> None:
    digest = server.add("a", size=100_000)
    # Another Python's zlib, another archive: the digest is over the contents.
    plain = gzip.decompress(server.archives[digest])
    server.replace_after_break[digest] = gzip.compress(plain, compresslevel=0, mtime=0)
    server.break_after = [100]
    said: list[str] = []
    lease = await (await provider(tmp_path, server)).fetch(digest, said.append)
    assert (lease.path / "main.py").read_bytes() == b"a" * 100_000
    assert [offset for _, offset in server.asked] == [0, 100, 0]
    assert said[2] == "What came in pieces does not fit together. Fetching it anew, in one."
    assert cached(tmp_path) == entry(digest)


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


async def test_what_was_changed_in_the_cache_is_fetched_anew(
    tmp_path: Path, server: Server
) -> None:
    digest = server.add("a")
    bundles = await provider(tmp_path, server)
    old = await bundles.fetch(digest, silent)
    (old.path / "main.py").write_text("import evil")
    said: list[str] = []
    fresh = await bundles.fetch(digest, said.append)
    assert (fresh.path / "main.py").read_bytes() == b"a" * 1000
    assert len(server.asked) == 2
    assert said[0].endswith("has been changed: it is not used.")
    assert (old.path / "main.py").read_text() == "import evil"
    old.release()
    await assert_eventually(lambda: not old.path.exists(), "the changed one is gone")
    assert (await bundles.fetch(digest, silent)).path == fresh.path


async def test_what_was_changed_while_no_process_had_it_is_fetched_anew(
    tmp_path: Path, server: Server
) -> None:
    digest = server.add("a")
    before = await provider(tmp_path, server)
    (await before.fetch(digest, silent)).release()
    await before.close()
    (tmp_path / "cache" / entry(digest)[0] / "main.py").unlink()
    lease = await (await provider(tmp_path, server)).fetch(digest, silent)
    assert (lease.path / "main.py").exists()


def archive_of(*entries: tuple[str, str, bytes]) -> bytes:
    """Of (path, link target or "", content); nothing is checked."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for path, target, content in entries:
            header = tarfile.TarInfo(path)
            header.type = tarfile.SYMTYPE if target else tarfile.REGTYPE
            header.linkname = target
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    ("archive", "kind", "says"),
    [
        (archive_of(("../../escaped", "", b"x")), InvalidBundle, "does not stay inside"),
        (archive_of(("/tmp/escaped", "", b"x")), InvalidBundle, "does not stay inside"),
        (archive_of(("link", "../..", b"")), InvalidBundle, "not inside the bundle"),
        (archive_of(("link", "/etc", b"")), InvalidBundle, "not inside the bundle"),
        (
            archive_of(("link", ".", b""), ("link/escaped", "", b"x")),
            InvalidBundle,
            "in the way",
        ),
        (archive_of(("bomb", "", b"\0" * (5 << 20))), BundleTooLarge, "5,242,880 bytes"),
        (archive_of(*((f"{n}", "", b"") for n in range(101))), BundleTooLarge, "101 entries"),
        (os.urandom(3 << 20), BundleTooLarge, "The archive of the bundle sha256:0"),
    ],
    ids=["up", "absolute", "link up", "link out", "through a link", "bomb", "entries", "archive"],
)
async def test_what_would_escape_or_explode_is_refused_and_nothing_of_it_is_kept(
    tmp_path: Path, server: Server, archive: bytes, kind: type[Exception], says: str
) -> None:
    digest = "sha256:" + "0" * 64
    server.archives[digest] = archive
    limits = BundleLimits(entries=100, file_bytes=1 << 20, content_bytes=1 << 20)
    bundles = await provider(tmp_path, server, limits=limits)
    with pytest.raises(kind, match=says):
        await bundles.fetch(digest, silent)
    assert cached(tmp_path) == []
    assert not list(tmp_path.rglob("escaped"))
    assert len(server.asked) == 1


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


async def test_many_readers_read_whole_bundles_while_others_come_and_go(
    tmp_path: Path, server: Server
) -> None:
    digests = [server.add(name) for name in "abcdef"]
    bundles = await provider(tmp_path, server, max_bytes=2500)

    async def read(number: int) -> None:
        lease = await bundles.fetch(digests[number % 6], silent)
        await asyncio.sleep(0)
        assert (lease.path / "main.py").read_bytes() == b"abcdef"[number % 6 :][:1] * 1000
        lease.release()

    await asyncio.gather(*(read(number) for number in range(60)))
    last = server.add("last", size=600)
    (await bundles.fetch(last, silent)).release()
    assert len(cached(tmp_path)) == len(entry(last))


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
    (cache / f"{'3' * 64}.json").write_text("half")
    (cache / f"{'4' * 64}.json").write_text((cache / entry(digest)[1]).read_text())
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
