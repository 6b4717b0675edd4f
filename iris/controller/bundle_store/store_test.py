"""Under a digest's name there is that bundle, whole, or nothing."""

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iris.bundle import pack_directory
from iris.controller.bundle_store import BundleStore
from iris.model.errors import DataLoss, InvalidArgument, NotFound, ResourceExhausted

OTHER = "sha256:" + "0" * 64


@pytest.fixture
def archive(tmp_path: Path) -> tuple[str, bytes]:
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text("print('hello')\n" * 1000)
    out = io.BytesIO()
    return pack_directory(source, out).digest, out.getvalue()


def store_in(tmp_path: Path, *, max_bytes: int = 1 << 30) -> BundleStore:
    return BundleStore(tmp_path / "bundles", max_bytes=max_bytes)


async def in_chunks(data: bytes, size: int = 100) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read_all(store: BundleStore, digest: str, offset: int = 0) -> bytes:
    return b"".join([chunk async for chunk in store.read(digest, offset)])


def files_in(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "bundles").iterdir())


async def test_what_was_received_comes_back_from_any_offset(
    tmp_path: Path, archive: tuple[str, bytes]
) -> None:
    digest, data = archive
    store = store_in(tmp_path)
    assert not store.has(digest)
    assert await store.receive(digest, in_chunks(data)) == len(data)
    assert store.has(digest)
    assert await read_all(store, digest) == data
    assert await read_all(store, digest, len(data) - 7) == data[-7:]
    assert await read_all(store, digest, len(data)) == b""


async def test_receiving_twice_is_the_same_as_once(
    tmp_path: Path, archive: tuple[str, bytes]
) -> None:
    digest, data = archive
    store = store_in(tmp_path)
    for _ in range(2):
        await store.receive(digest, in_chunks(data))
    assert len(files_in(tmp_path)) == 1


async def test_another_digest_is_refused_and_nothing_is_kept(
    tmp_path: Path, archive: tuple[str, bytes]
) -> None:
    store = store_in(tmp_path)
    with pytest.raises(DataLoss, match="has the digest"):
        await store.receive(OTHER, in_chunks(archive[1]))
    assert files_in(tmp_path) == []


async def test_half_an_archive_is_refused_and_nothing_is_kept(
    tmp_path: Path, archive: tuple[str, bytes]
) -> None:
    digest, data = archive
    with pytest.raises(InvalidArgument):
        await store_in(tmp_path).receive(digest, in_chunks(data[: len(data) // 2]))
    assert files_in(tmp_path) == []


async def test_one_that_is_too_large_is_refused_with_the_limit(
    tmp_path: Path, archive: tuple[str, bytes]
) -> None:
    with pytest.raises(ResourceExhausted, match="100 B"):
        await store_in(tmp_path, max_bytes=100).receive(archive[0], in_chunks(archive[1]))
    assert files_in(tmp_path) == []


async def test_an_upload_that_breaks_off_leaves_nothing(
    tmp_path: Path, archive: tuple[str, bytes]
) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield archive[1][:10]
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        await store_in(tmp_path).receive(archive[0], breaks())
    assert files_in(tmp_path) == []


async def test_what_a_killed_process_left_half_received_is_removed(tmp_path: Path) -> None:
    (tmp_path / "bundles").mkdir(mode=0o700)
    (tmp_path / "bundles" / ".incoming-abc").write_bytes(b"half")
    store_in(tmp_path)
    assert files_in(tmp_path) == []


async def test_questions_about_what_is_not_here_are_answered(
    tmp_path: Path, archive: tuple[str, bytes]
) -> None:
    store = store_in(tmp_path)
    with pytest.raises(NotFound, match="Upload it first"):
        await read_all(store, OTHER)
    with pytest.raises(InvalidArgument, match="no bundle digest"):
        store.has("../../etc/passwd")
    await store.receive(archive[0], in_chunks(archive[1]))
    with pytest.raises(InvalidArgument, match="outside"):
        await read_all(store, archive[0], len(archive[1]) + 1)
