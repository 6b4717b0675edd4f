"""What each check finds, and that what it says has the numbers and what to do."""

import errno
import os
from pathlib import Path

import pytest

from iris.model.errors import Unavailable
from iris.model.resources import GIB, MIB
from iris.testing.worker_fakes import FakeRuntime
from iris.worker.health.checks import DiskCheck, FolderCheck, MemoryCheck, RuntimeCheck


async def test_disk(tmp_path: Path) -> None:
    free = {tmp_path: 120 * MIB}
    check = DiskCheck(tmp_path, GIB, free.__getitem__)
    said = await check.look()
    assert said.startswith(f"120 MiB free in {tmp_path}, needs 1 GiB; make room")
    free[tmp_path] = GIB
    assert await check.look() == ""


async def test_the_real_disk(tmp_path: Path) -> None:
    assert await DiskCheck(tmp_path, 0).look() == ""
    assert "free in" in await DiskCheck(tmp_path, 1 << 80).look()


async def test_memory() -> None:
    assert await MemoryCheck(2 * MIB, lambda: 2 * MIB).look() == ""
    said = await MemoryCheck(2 * MIB, lambda: MIB).look()
    assert said.startswith("1 MiB available, needs 2 MiB; end what takes it")
    assert await MemoryCheck(1).look() == "", "this machine has some"
    assert await MemoryCheck(1 << 80).look()


async def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    assert await FolderCheck(tmp_path).look() == ""
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_is_not_there_cannot_be_written(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    said = await FolderCheck(gone).look()
    assert said.startswith(f"no file can be written in {gone}: No such file or directory; ")


@pytest.mark.parametrize("what", ["write_bytes", "read_bytes"])
async def test_a_disk_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, what, fail)
    assert ": Input/output error; " in await FolderCheck(tmp_path).look()
    assert list(tmp_path.iterdir()) == []


async def test_a_disk_that_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"something else")
    assert "did not read as it was written" in await FolderCheck(tmp_path).look()


async def test_the_runtime() -> None:
    runtime = FakeRuntime()
    check = RuntimeCheck(runtime)
    assert await check.look() == ""
    runtime.probed.error = Unavailable("The process that starts tasks keeps dying.")
    assert await check.look() == (
        "no task can be started: The process that starts tasks keeps dying."
    )
