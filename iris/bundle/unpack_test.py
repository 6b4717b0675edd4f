"""Tests of unpacking: what was packed comes out, and nothing hostile does."""

import gzip
import io
import os
import pathlib
import random
import tarfile
from collections.abc import Callable

import pytest

from iris.bundle import (
    BundleInfo,
    BundleLimits,
    BundleMismatch,
    BundleTooLarge,
    InvalidBundle,
    digest_directory,
    inspect_archive,
    pack_directory,
    unpack,
)
from iris.model.errors import AlreadyExists, IrisError


def make_tree(root: pathlib.Path) -> pathlib.Path:
    (root / "pkg/deep").mkdir(parents=True)
    (root / "train.py").write_text("print('hello')\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "pkg/deep/data.bin").write_bytes(bytes(range(256)) * 9000)
    (root / ("pkg/" + "löng" * 40)).write_text("a path that needs a pax header")
    (root / "pkg/link").symlink_to("../train.py")
    (root / "here").symlink_to(".")
    return root


@pytest.fixture
def bundle(tmp_path: pathlib.Path) -> tuple[io.BytesIO, BundleInfo]:
    source = tmp_path / "source"
    source.mkdir()
    out = io.BytesIO()
    info = pack_directory(make_tree(source), out)
    out.seek(0)
    return out, info


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def archive(
    *members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT
) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=format) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    out.seek(0)
    return out


def assert_refused(data: io.BytesIO, folder: pathlib.Path, error: type[IrisError]) -> None:
    """Both ways of reading refuse it, and nothing of it is left."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(error):
        inspect_archive(data)
    data.seek(0)
    with pytest.raises(error):
        unpack(data, folder / "out", expected_digest="sha256:" + "0" * 64)
    assert sorted(folder.rglob("*")) == before


def test_what_was_packed_comes_out(
    bundle: tuple[io.BytesIO, BundleInfo], tmp_path: pathlib.Path
) -> None:
    data, info = bundle
    before = os.umask(0o077)
    try:
        assert unpack(data, tmp_path / "out", expected_digest=info.digest) == info
    finally:
        os.umask(before)
    out = tmp_path / "out"
    assert digest_directory(out) == info
    assert (out / "pkg/deep/data.bin").read_bytes() == bytes(range(256)) * 9000
    assert (out / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (out / "train.py").stat().st_mode & 0o777 == 0o644
    assert (out / "pkg").stat().st_mode & 0o777 == out.stat().st_mode & 0o777 == 0o755
    assert os.readlink(out / "pkg/link") == "../train.py"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_it_comes_from_a_file_too(
    bundle: tuple[io.BytesIO, BundleInfo], tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "bundle.tar.gz"
    file.write_bytes(bundle[0].getvalue())
    assert inspect_archive(file) == bundle[1]
    unpack(file, tmp_path / "out", expected_digest=bundle[1].digest)
    assert digest_directory(tmp_path / "out") == bundle[1]


def test_the_digest_is_over_entries_and_not_over_the_archive(
    bundle: tuple[io.BytesIO, BundleInfo], tmp_path: pathlib.Path
) -> None:
    data, info = bundle
    with tarfile.open(fileobj=data) as tar:
        members = [(m, tar.extractfile(m).read() if m.isfile() else b"") for m in tar.getmembers()]  # type: ignore[union-attr]
    for m, _ in members:
        m.mtime, m.uid, m.uname = 1_000_000_000, 1000, "someone"
        m.pax_headers = {}
    other = archive(*reversed(members))
    assert other.getvalue() != data.getvalue()
    assert unpack(other, tmp_path / "out", expected_digest=info.digest) == info


def test_another_digest_is_refused_and_leaves_nothing(
    bundle: tuple[io.BytesIO, BundleInfo], tmp_path: pathlib.Path
) -> None:
    with pytest.raises(BundleMismatch, match=bundle[1].digest):
        unpack(bundle[0], tmp_path / "out", expected_digest="sha256:" + "0" * 64)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_destination_that_exists_is_left_alone(
    bundle: tuple[io.BytesIO, BundleInfo], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("out", "dangling"):
        bundle[0].seek(0)
        with pytest.raises(AlreadyExists):
            unpack(bundle[0], tmp_path / name, expected_digest=bundle[1].digest)
    assert list((tmp_path / "out").iterdir()) == []


def test_of_two_at_once_one_wins_and_the_other_is_told(
    bundle: tuple[io.BytesIO, BundleInfo], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, info = bundle
    destination = tmp_path / "out"
    rename = pathlib.Path.rename

    def rename_after_another_did(self: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
        (destination / "pkg").mkdir(parents=True)
        return rename(self, target)

    monkeypatch.setattr(pathlib.Path, "rename", rename_after_another_did)
    with pytest.raises(AlreadyExists):
        unpack(data, destination, expected_digest=info.digest)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


@pytest.mark.parametrize(
    "name", ["/etc/x", "../x", "a/../../x", "a/./b", "a//b", "", ".", "..", "a/" + "b" * 300]
)
def test_paths_that_leave_the_folder_are_refused(tmp_path: pathlib.Path, name: str) -> None:
    assert_refused(archive(member(name, b"x")), tmp_path, InvalidBundle)


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "a/../../x", "here/..", ""])
def test_links_that_leave_the_folder_are_refused(tmp_path: pathlib.Path, target: str) -> None:
    data = archive(
        member("here", type=tarfile.SYMTYPE, linkname="."),
        member("link", type=tarfile.SYMTYPE, linkname=target),
    )
    assert_refused(data, tmp_path, InvalidBundle)


@pytest.mark.parametrize(
    "type_",
    [
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        tarfile.CONTTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.GNUTYPE_LONGNAME,
        b"Z",
    ],
)
def test_what_is_neither_file_nor_link_is_refused(tmp_path: pathlib.Path, type_: bytes) -> None:
    data = archive(member("good", b"x"), member("bad", type=type_, linkname="good"))
    assert_refused(data, tmp_path, InvalidBundle)


@pytest.mark.parametrize(
    "members",
    [
        [member("a", b"1"), member("a", b"2")],
        [member("a", b"1"), member("a/b", b"2")],
        [member("a/b", b"1"), member("a", b"2")],
        [member("a", type=tarfile.SYMTYPE, linkname="b"), member("a/c", b"x")],
        [member("b/c", b"x"), member("b", type=tarfile.SYMTYPE, linkname="d")],
    ],
)
def test_entries_in_each_others_way_are_refused(
    tmp_path: pathlib.Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    assert_refused(archive(*members), tmp_path, InvalidBundle)


def test_a_sparse_file_is_refused(tmp_path: pathlib.Path) -> None:
    info, content = member("holes", b"1\n0\n1048576\n".ljust(512, b"\0"))
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "holes",
        "GNU.sparse.realsize": "1048576",
    }
    assert_refused(archive((info, content)), tmp_path, InvalidBundle)


@pytest.mark.parametrize(
    "limits",
    [
        BundleLimits(entries=5),
        BundleLimits(file_bytes=256 * 9000 - 1),
        BundleLimits(content_bytes=256 * 9000),
    ],
)
def test_limits_are_kept(
    bundle: tuple[io.BytesIO, BundleInfo], tmp_path: pathlib.Path, limits: BundleLimits
) -> None:
    with pytest.raises(BundleTooLarge):
        unpack(bundle[0], tmp_path / "out", expected_digest=bundle[1].digest, limits=limits)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("what", ["one file", "many headers", "padding"])
def test_a_bomb_is_stopped_at_the_limit(what: str) -> None:
    zeros = bytes(1 << 20)
    small = BundleLimits(entries=10, content_bytes=1 << 16)
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb") as out:
        if what == "one file":
            header = tarfile.TarInfo("bomb")
            header.size = 64 << 20
            out.write(header.tobuf())
        elif what == "many headers":
            for index in range(20):
                out.write(tarfile.TarInfo(f"f{index}").tobuf())
        for _ in range(64):
            out.write(zeros)
    assert len(made.getvalue()) < 1 << 17
    made.seek(0)
    with pytest.raises(BundleTooLarge):
        inspect_archive(made, limits=small)


def test_a_header_that_is_a_bomb_is_refused(tmp_path: pathlib.Path) -> None:
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode="wb") as out:
        header = tarfile.TarInfo("pax")
        header.type = tarfile.XHDTYPE
        header.size = 1 << 30
        out.write(header.tobuf())
        out.write(bytes(1 << 20))
    made.seek(0)
    assert_refused(made, tmp_path, InvalidBundle)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"not an archive",
        lambda data: gzip.compress(b"not a tar" * 100),
        lambda data: data[: len(data) // 2],
        lambda data: data[:-9],
        lambda data: data + b"x",
        lambda data: gzip.compress(gzip.decompress(data) + b"x"),
        lambda data: data[:40] + b"\xff" * 40 + data[80:],
    ],
    ids=["empty", "text", "gzip of text", "half", "tail lost", "tail", "tail inside", "damaged"],
)
def test_what_is_not_a_whole_bundle_is_refused(
    bundle: tuple[io.BytesIO, BundleInfo], tmp_path: pathlib.Path, spoil: Callable[[bytes], bytes]
) -> None:
    assert_refused(io.BytesIO(spoil(bundle[0].getvalue())), tmp_path, InvalidBundle)


def test_no_damage_gets_through_or_ends_in_a_traceback(
    tmp_path: pathlib.Path, test_seed: str
) -> None:
    """Whatever happens to the tar inside, another digest comes out, or an error of ours."""
    generator = random.Random(test_seed)
    made = io.BytesIO()
    (tmp_path / "a").write_text("content")
    (tmp_path / ("ß" * 100)).write_text("a path that needs a pax header")
    (tmp_path / "link").symlink_to("a")
    original = pack_directory(tmp_path, made)
    tar = gzip.decompress(made.getvalue()).rstrip(b"\0") + bytes(1024)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(tar)
        for _ in range(generator.randint(1, 3)):
            block = generator.randrange(len(damaged) // 512)
            place = block * 512 + generator.randrange(512)
            damaged[place] = generator.randrange(256)
        try:
            info = inspect_archive(io.BytesIO(gzip.compress(bytes(damaged), compresslevel=1)))
        except (InvalidBundle, BundleTooLarge):
            refused += 1
        else:
            # Owners, times and padding are not part of a bundle, so some damage is none.
            refused += info != original
    assert refused > 500
