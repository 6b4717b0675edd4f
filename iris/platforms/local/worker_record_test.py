"""Whoever works in the folder of a VM that is not ours is ended before the folder goes."""

import subprocess
from pathlib import Path

import pytest

from iris.host.processes import ProcessIdentity, descendants
from iris.platforms.local.worker_record import discard_vm_folders, write_worker_record
from iris.testing.eventually import assert_eventually


async def test_it_is_ended_with_everything_below_it(tmp_path: Path) -> None:
    folder = tmp_path / "cpu-1-0"
    folder.mkdir()
    # It would outlive any lifeline.
    with subprocess.Popen(("sh", "-c", "trap '' TERM; sleep 1000 & sleep 1000")) as process:
        own = ProcessIdentity.of(process.pid)
        assert own is not None
        write_worker_record(folder, process.pid)
        await assert_eventually(lambda: len(descendants(own)) == 2, "it has children")
        tree = (own, *descendants(own))
        assert discard_vm_folders(tmp_path, keep=()) == ["cpu-1-0"]
        assert not any(one.is_alive() for one in tree)
        assert list(tmp_path.iterdir()) == []


def test_one_that_is_kept_runs_on(tmp_path: Path) -> None:
    folder = tmp_path / "cpu-1-0"
    folder.mkdir()
    with subprocess.Popen(("sleep", "1000")) as process:
        write_worker_record(folder, process.pid)
        assert discard_vm_folders(tmp_path, keep={"cpu-1-0"}) == []
        assert process.poll() is None
        assert folder.is_dir()
        process.kill()


def test_a_pid_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cpu-1-0"
    folder.mkdir()
    with subprocess.Popen(("sleep", "1000")) as process:
        write_worker_record(folder, process.pid)
        record = folder / "worker.json"
        own = ProcessIdentity.of(process.pid)
        assert own is not None
        record.write_text(record.read_text().replace(str(own.start_time), str(own.start_time - 1)))
        assert discard_vm_folders(tmp_path, keep=()) == []
        assert process.poll() is None
        process.kill()
    assert not folder.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}'])
def test_a_record_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "cpu-1-0"
    folder.mkdir()
    (folder / "worker.json").write_text(text)
    assert discard_vm_folders(tmp_path, keep=()) == []
    assert not folder.exists()


def test_no_folder_at_all(tmp_path: Path) -> None:
    assert discard_vm_folders(tmp_path / "vms", keep=()) == []
