"""Folders of attempts, and which of them are used again."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from iris.worker.attempts.folders import AttemptFolder, SpareFolders


@pytest.fixture
def spares(tmp_path: Path) -> SpareFolders:
    (tmp_path / "spare").mkdir()
    return SpareFolders(tmp_path / "spare")


def made(tmp_path: Path, spares: SpareFolders, name: str) -> AttemptFolder:
    folder = AttemptFolder(tmp_path / name, spares)
    folder.make()
    assert [os.listdir(one) for one in (folder.work, folder.home, folder.tmp)] == [[], [], []]
    return folder


def inode(folder: AttemptFolder) -> int:
    return folder.path.stat().st_ino


@pytest.mark.parametrize("umask", [0o022, 0o077, 0])
def test_what_was_left_empty_is_used_again(
    tmp_path: Path, spares: SpareFolders, umask: int
) -> None:
    before = os.umask(umask)
    try:
        first = made(tmp_path, spares, "first")
        number = inode(first)
        assert first.remove_empty()
        assert not first.path.exists()
        second = made(tmp_path, spares, "second")
        assert inode(second) == number
        assert inode(made(tmp_path, spares, "third")) != number
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder.work / "file").write_text("something"),
        lambda folder: (folder.path / "file").write_text("something"),
        lambda folder: (folder.home / "folder").mkdir(),
    ],
)
def test_what_has_something_in_it_is_removed_in_earnest(
    tmp_path: Path, spares: SpareFolders, spoil: Callable[[AttemptFolder], object]
) -> None:
    folder = made(tmp_path, spares, "first")
    spoil(folder)
    assert not folder.remove_empty()
    assert folder.path.exists()
    folder.remove()
    assert os.listdir(tmp_path) == ["spare"]
    assert os.listdir(tmp_path / "spare") == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: folder.tmp.chmod(0o500),
        lambda folder: folder.path.chmod(0o777),
        lambda folder: folder.home.chmod(0o1700),
        lambda folder: os.setxattr(folder.work, "user.mark", b"was here"),
        lambda folder: folder.work.rmdir(),
    ],
)
def test_what_was_changed_is_not_used_again(
    tmp_path: Path, spares: SpareFolders, spoil: Callable[[AttemptFolder], object]
) -> None:
    folder = made(tmp_path, spares, "first")
    try:
        spoil(folder)
    except OSError as error:
        pytest.skip(f"this disk cannot do it: {error}")
    folder.remove_empty()
    folder.remove()
    assert os.listdir(tmp_path / "spare") == []


def test_a_link_in_its_place_is_not_followed(tmp_path: Path, spares: SpareFolders) -> None:
    folder = made(tmp_path, spares, "first")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.work.rmdir()
    folder.work.symlink_to(elsewhere)
    assert not folder.remove_empty()
    folder.remove()
    assert elsewhere.is_dir()


def test_a_copy_of_the_bundle_is_given_up(tmp_path: Path, spares: SpareFolders) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "program").write_text("program")
    folder = made(tmp_path, spares, "first")
    folder.copy_bundle(bundle, threading.Event())
    assert (folder.work / "program").read_text() == "program"
    assert not folder.remove_empty()
