"""Tests of packing: the same files are the same bundle, and what cannot travel is refused."""

import contextlib
import dataclasses
import io
import os
import pathlib
import subprocess
import sys
import tarfile
from collections.abc import Iterator

import pytest

from iris.bundle import (
    BundleInfo,
    BundleLimits,
    BundleTooLarge,
    IgnoreRules,
    UnpackableFolder,
    digest_directory,
    inspect_archive,
    pack_directory,
    pack_files,
)
from iris.bundle.pack import _HashingReader


def make_tree(root: pathlib.Path) -> pathlib.Path:
    (root / "pkg/deep").mkdir(parents=True)
    (root / "train.py").write_text("print('hello')\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "pkg/deep/data.bin").write_bytes(bytes(range(256)) * 300)
    (root / "pkg/ünïcode.txt").write_text("ß")
    (root / ("pkg/" + "long" * 50)).write_text("a path that needs a pax header")
    (root / "pkg/link").symlink_to("../train.py")
    (root / "empty").write_bytes(b"")
    return root


def packed(root: pathlib.Path) -> tuple[bytes, BundleInfo]:
    out = io.BytesIO()
    info = pack_directory(root, out)
    return out.getvalue(), info


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_place_time_umask_and_order_do_not_matter(tmp_path: pathlib.Path) -> None:
    one, other = tmp_path / "one", tmp_path / "some/other/place"
    with umask(0o022):
        one.mkdir()
        make_tree(one)
    with umask(0o077):
        other.mkdir(parents=True)
        make_tree(other)
        (other / "run.sh").chmod(0o700)
    for path in other.rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    assert packed(one) == packed(other)


def test_another_process_with_another_locale_and_time_zone_packs_the_same(
    tmp_path: pathlib.Path,
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    make_tree(tree)
    program = (
        "import pathlib, sys; from iris.bundle import pack_directory\n"
        "pack_directory(pathlib.Path(sys.argv[1]), sys.stdout.buffer)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(tree)],
        env={
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONHASHSEED": "7",
            "LC_ALL": "C.UTF-8",
            "TZ": "Asia/Kathmandu",
        },
        capture_output=True,
        check=True,
    )
    assert result.stdout == packed(tree)[0]


def test_the_archive_is_a_tar_that_shows_nothing_of_the_machine(tmp_path: pathlib.Path) -> None:
    data, info = packed(make_tree(tmp_path))
    assert data[4:8] == b"\0\0\0\0", "gzip's time"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
    assert len(members) == info.entries == 7
    names = [member.name for member in members]
    assert names == sorted(names, key=str.encode)
    for member in members:
        assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (
            0,
            0,
            0,
            "",
            "",
        )
        assert member.mode == {"run.sh": 0o755, "pkg/link": 0o777}.get(member.name, 0o644)


def test_the_digest_is_the_same_with_and_without_an_archive(tmp_path: pathlib.Path) -> None:
    data, info = packed(make_tree(tmp_path))
    assert digest_directory(tmp_path) == info == inspect_archive(io.BytesIO(data))


def test_content_mode_and_name_change_the_digest(tmp_path: pathlib.Path) -> None:
    digests = {digest_directory(make_tree(tmp_path)).digest}
    (tmp_path / "train.py").write_text("print('hallo')\n")
    digests.add(digest_directory(tmp_path).digest)
    (tmp_path / "train.py").chmod(0o755)
    digests.add(digest_directory(tmp_path).digest)
    (tmp_path / "train.py").rename(tmp_path / "main.py")
    digests.add(digest_directory(tmp_path).digest)
    assert len(digests) == 4


def test_an_empty_folder_is_a_bundle(tmp_path: pathlib.Path) -> None:
    data, info = packed(tmp_path)
    assert info.entries == 0
    assert inspect_archive(io.BytesIO(data)) == info


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside", "pkg/../../outside"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: pathlib.Path, target: str) -> None:
    (tmp_path / "escape").symlink_to(target)
    with pytest.raises(UnpackableFolder, match="escape") as error:
        packed(tmp_path)
    assert target in str(error.value)
    with pytest.raises(UnpackableFolder):
        digest_directory(tmp_path)


def test_a_name_that_is_not_utf8_is_refused(tmp_path: pathlib.Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff.txt", "w"):
        pass
    with pytest.raises(UnpackableFolder, match="UTF-8"):
        packed(tmp_path)


def test_a_root_that_is_no_folder_is_refused(tmp_path: pathlib.Path) -> None:
    for root in (tmp_path / "absent", tmp_path / "file"):
        (tmp_path / "file").touch()
        with pytest.raises(UnpackableFolder, match="not a folder"):
            packed(root)


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (BundleLimits(entries=6), "7 entries"),
        (BundleLimits(file_bytes=76_799), "76,800 bytes in 'pkg/deep/data.bin'"),
        (BundleLimits(content_bytes=76_810), "bytes in all files together"),
    ],
)
def test_limits_are_kept(tmp_path: pathlib.Path, limits: BundleLimits, what: str) -> None:
    make_tree(tmp_path)
    with pytest.raises(BundleTooLarge, match=what):
        pack_directory(tmp_path, io.BytesIO(), limits=limits)
    with pytest.raises(BundleTooLarge, match=what):
        digest_directory(tmp_path, limits=limits)


def test_what_is_within_the_limits_is_packed(tmp_path: pathlib.Path) -> None:
    info = digest_directory(make_tree(tmp_path))
    exact = BundleLimits(entries=7, file_bytes=76_800, content_bytes=info.content_bytes)
    assert digest_directory(tmp_path, limits=exact) == info


@pytest.mark.parametrize("change", ["grows", "shrinks"])
@pytest.mark.parametrize("function", ["pack", "digest"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, change: str, function: str
) -> None:
    file = tmp_path / "log.txt"
    file.write_bytes(b"x" * 1000)
    read = _HashingReader.read

    def read_from_a_changing_file(self: _HashingReader, size: int = -1) -> bytes:
        file.write_bytes(b"x" * (2000 if change == "grows" else 10))
        return read(self, size)

    monkeypatch.setattr(_HashingReader, "read", read_from_a_changing_file)
    with pytest.raises(UnpackableFolder, match="changed while"):
        if function == "pack":
            packed(tmp_path)
        else:
            digest_directory(tmp_path)


def test_named_files_become_a_bundle(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    make_tree(root)
    # As a build's sandbox has them: everything is a link to somewhere else.
    (tmp_path / "elsewhere").symlink_to(root / "run.sh")
    files = {
        "bin/run": tmp_path / "elsewhere",
        "a.py": root / "train.py",
        "b.py": root / "pkg/link",
    }
    out = io.BytesIO()
    info = pack_files(files, out)
    assert info.entries == 3
    expected = tmp_path / "expected"
    (expected / "bin").mkdir(parents=True)
    (expected / "bin/run").write_text("#!/bin/sh\n")
    (expected / "bin/run").chmod(0o755)
    (expected / "a.py").write_text("print('hello')\n")
    (expected / "b.py").write_text("print('hello')\n")
    assert packed(expected) == (out.getvalue(), info)


def test_a_build_may_decide_what_is_executable(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x").touch(0o755)
    out = io.BytesIO()
    pack_files({"x": tmp_path / "x"}, out, is_executable=lambda path: False)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert tar.getmember("x").mode == 0o644


@pytest.mark.parametrize("names", [["a", "a/b"], ["../a"], ["/a"], [""]])
def test_names_that_no_bundle_has_are_refused(tmp_path: pathlib.Path, names: list[str]) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(UnpackableFolder):
        pack_files(dict.fromkeys(names, tmp_path / "x"), io.BytesIO())


def test_a_file_that_is_not_there_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UnpackableFolder, match="No such file"):
        pack_files({"a": tmp_path / "absent"}, io.BytesIO())


def test_what_is_left_out_does_not_change_the_digest(tmp_path: pathlib.Path) -> None:
    before = digest_directory(make_tree(tmp_path))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/train.cpython-311.pyc").write_bytes(b"\0")
    assert digest_directory(tmp_path) == before
    with_everything = digest_directory(tmp_path, ignore=IgnoreRules.nothing())
    assert with_everything == dataclasses.replace(
        with_everything, entries=before.entries + 1, content_bytes=before.content_bytes + 1
    )
