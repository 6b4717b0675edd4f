"""What can be looked at of a cluster that was there before is what lies on this machine, of that very cluster."""

from pathlib import Path

import pytest

from iris.host.processes import ProcessIdentity
from iris.lifecycle.state_folder import ControllerRecord
from iris.smoke.given_cluster import given_cluster
from iris.smoke.needs import KEPT_STATE, LOCAL_PROCESSES

ADDRESS = "127.0.0.1:4711"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The state of a cluster that this very process serves."""
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "cache").mkdir()
    record = ControllerRecord(ADDRESS, ProcessIdentity.current(), "sample", "one")
    (tmp_path / "controller.json").write_bytes(record.to_json())
    return tmp_path


def test_one_of_this_machine_shows_its_processes_and_files(folder: Path) -> None:
    found = given_cluster(ADDRESS, folder / "token")
    assert (found.address, found.token, found.started_here) == (ADDRESS, "secret", False)
    assert found.offers == {LOCAL_PROCESSES, KEPT_STATE}
    assert found.state_dir == folder


def test_of_one_whose_cache_is_elsewhere_only_processes_are_seen(folder: Path) -> None:
    (folder / "cache").rmdir()
    assert given_cluster(ADDRESS, folder / "token").offers == {LOCAL_PROCESSES}


@pytest.mark.parametrize("spoil", ["address", "record", "nonsense", "process"])
def test_of_any_other_nothing_is_known(folder: Path, spoil: str) -> None:
    address, record = ADDRESS, folder / "controller.json"
    if spoil == "address":
        address = "10.0.0.1:4711"
    elif spoil == "record":
        record.unlink()
    elif spoil == "nonsense":
        record.write_bytes(b"{")
    else:
        dead = ProcessIdentity(1 << 22, 1)
        record.write_bytes(ControllerRecord(ADDRESS, dead, "sample", "one").to_json())
    found = given_cluster(address, folder / "token")
    assert (found.offers, found.state_dir) == (frozenset(), None)
