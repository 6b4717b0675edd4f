"""The size of a folder, in steps."""

import os
from pathlib import Path

import pytest

from iris.model.resources import KIB, MIB
from iris.worker.runtime import folder_meter
from iris.worker.runtime.folder_meter import FolderMeter


def measured(folder: Path) -> FolderMeter:
    meter = FolderMeter(os.fsencode(folder))
    assert meter.step(10_000)
    return meter


def blocks(*paths: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in paths)


def test_everything_below_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "one").write_bytes(os.urandom(100 * KIB))
    (inner / "two").write_bytes(os.urandom(300 * KIB))
    meter = measured(tmp_path)
    assert meter.total_bytes == blocks(tmp_path / "a", inner, tmp_path / "one", inner / "two")
    assert meter.total_bytes >= 400 * KIB
    assert meter.largest_file_bytes == 300 * KIB


def test_links_are_not_followed_and_names_not_counted(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "big").write_bytes(os.urandom(MIB))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "outside")
    (inside / "file").write_bytes(os.urandom(64 * KIB))
    (inside / "again").hardlink_to(inside / "file")
    assert measured(inside).total_bytes == blocks(inside / "link", inside / "file")


def test_holes_take_no_disk_but_have_length(tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(100 * MIB)
    meter = measured(tmp_path)
    assert meter.total_bytes < MIB
    assert meter.largest_file_bytes == 100 * MIB


def test_a_step_is_bounded_and_passes_follow_each_other(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / str(number)).write_bytes(b"x")
    meter = FolderMeter(os.fsencode(tmp_path))
    assert [meter.step(10) for _ in range(3)] == [False, False, True]
    first = meter.total_bytes
    assert first == blocks(*tmp_path.iterdir())
    (tmp_path / "more").write_bytes(os.urandom(MIB))
    assert [meter.step(10) for _ in range(2)] == [False, False]
    assert meter.total_bytes == first, "until the next pass is complete"
    assert meter.step(10)
    assert meter.total_bytes > first + MIB - 1


def test_what_is_not_there_takes_nothing(tmp_path: Path) -> None:
    assert measured(tmp_path / "gone").total_bytes == 0


def test_a_pass_ends_however_much_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_meter, "_MAX_ENTRIES", 5)
    for number in range(50):
        (tmp_path / str(number)).write_bytes(b"x")
    assert measured(tmp_path).total_bytes == 5 * blocks(tmp_path / "0")
