"""A back-up takes the place of a cluster's database, unless a controller has it."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from iris.controller.store import Store
from iris.host.files import FileLock
from iris.host.processes import ProcessIdentity
from iris.lifecycle.restore import restore_back_up
from iris.lifecycle.state_folder import StateFolder, note_holder
from iris.model.errors import DataLoss, FailedPrecondition, NotFound


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    path = tmp_path / "state"
    path.mkdir()
    return StateFolder(path)


@pytest.fixture
def back_up(tmp_path: Path) -> Path:
    """Of a database in which nothing has happened."""

    async def make() -> None:
        store = Store.open(tmp_path / "other.db")
        await store.back_up(tmp_path / "back-up.db")
        store.close()

    asyncio.run(make())
    return tmp_path / "back-up.db"


def test_it_takes_the_place_of_what_was_there(folder: StateFolder, back_up: Path) -> None:
    database = folder.path / "controller.db"
    assert restore_back_up(folder, back_up) is None
    assert database.is_file()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    before = database.read_bytes()
    kept = restore_back_up(folder, back_up)
    assert kept is not None
    assert kept.read_bytes() == before
    assert not folder.is_locked()


def test_a_controller_that_has_the_folder_keeps_it(folder: StateFolder, back_up: Path) -> None:
    lock = FileLock(folder.lock_file)
    assert lock.acquire()
    with pytest.raises(FailedPrecondition, match="just being started"):
        restore_back_up(folder, back_up)
    me = ProcessIdentity.current()
    note_holder(lock, me)
    with pytest.raises(FailedPrecondition, match=str(me.pid)) as refused:
        restore_back_up(folder, back_up)
    assert "Stop the cluster" in refused.value.hint
    assert not (folder.path / "controller.db").exists()
    lock.let_go()
    assert restore_back_up(folder, back_up) is None


def test_what_is_no_back_up_changes_nothing(
    folder: StateFolder, back_up: Path, tmp_path: Path
) -> None:
    restore_back_up(folder, back_up)
    before = (folder.path / "controller.db").read_bytes()
    other = tmp_path / "x"
    other.write_bytes(b"this is no database" * 100)
    with pytest.raises((DataLoss, FailedPrecondition)):
        restore_back_up(folder, other)
    with pytest.raises(NotFound):
        restore_back_up(folder, tmp_path / "nothing")
    assert (folder.path / "controller.db").read_bytes() == before
    assert not folder.is_locked()


def test_no_such_folder(tmp_path: Path, back_up: Path) -> None:
    with pytest.raises(FailedPrecondition, match="There is no state folder"):
        restore_back_up(StateFolder(tmp_path / "nowhere"), back_up)
