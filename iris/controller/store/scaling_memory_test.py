"""What the autoscaler wants to remember is there after a restart, and does not disturb the rest."""

from pathlib import Path

import pytest

from iris.controller.store import Database, Recovered, Store, StoredScalingMemory
from iris.controller.store.sample_records import EVERYTHING, JOB, change, submitted
from iris.model.errors import DataLoss, Unavailable


async def test_it_comes_back(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    memory = StoredScalingMemory(lambda: store)
    assert await memory.load() == {}
    await memory.save({"cpu": b"one", "tpu": b"two"})
    await memory.save({"cpu": b"three"})
    store.close()
    store = Store.open(tmp_path / "state.db")
    assert await memory.load() == {"cpu": b"three", "tpu": b"two"}
    store.close()


async def test_nothing_is_saved_once_the_store_is_closed(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "state.db")
    store.close()
    with pytest.raises(Unavailable):
        await StoredScalingMemory(lambda: store).save({"cpu": b"late"})


def test_it_is_apart_from_the_records(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "state.db")
    database.save_scaling({"cpu": b"one"})
    assert database.load() == Recovered()
    database.commit(submitted(JOB), EVERYTHING)
    assert database.load_scaling() == {"cpu": b"one"}
    database.close()


def test_all_or_none(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "state.db")
    database.save_scaling({"cpu": b"one"})
    with pytest.raises(Exception, match="NOT NULL"):
        database.save_scaling({"cpu": b"two", "tpu": None})  # type: ignore[dict-item]
    assert database.load_scaling() == {"cpu": b"one"}
    database.close()


def test_a_file_without_the_table_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    Database.open(path).close()
    change(path, "DROP TABLE scaling")
    database = Database.open(path)
    with pytest.raises((DataLoss, Exception), match="scaling"):
        database.load_scaling()
    database.close()
