"""Tests of a cluster as a whole, and of finding those that run."""

from datetime import timedelta
from pathlib import Path

import pytest

from iris.lifecycle.cluster_manager import ClusterManager
from iris.lifecycle.create import create_controller
from iris.lifecycle.discovery import find_local_cluster, find_local_clusters
from iris.lifecycle.gcp.controller import GcpController
from iris.lifecycle.local.controller import LocalController
from iris.lifecycle.local.sample_cluster import sample_config
from iris.lifecycle.remote.manual import ManualController
from iris.lifecycle.state_folder import StateFolder
from iris.model.errors import FailedPrecondition, InvalidArgument, Unavailable
from iris.rpc.health import check_health
from iris.testing.fake_compute import FakeCompute


def test_from_start_to_stop(tmp_path: Path) -> None:
    manager = ClusterManager(sample_config(tmp_path / "unused"), state_dir=tmp_path / "state")
    assert manager.is_local
    with pytest.raises(Unavailable, match="Cluster 'sample' is not running"), manager.connect():
        pass
    try:
        status = manager.start()
        with manager.connect() as connection:
            assert connection.address == status.address
            assert connection.token == StateFolder(tmp_path / "state").read_token()
            assert connection.token not in repr(connection)
            health = check_health(connection.address, timedelta(seconds=10))
            assert health.cluster == "sample"
        assert manager.reload().healthy
    finally:
        manager.stop()
    assert not (tmp_path / "unused").exists()
    with pytest.raises(Unavailable), manager.connect():
        pass


def test_running_ends_with_its_block(tmp_path: Path) -> None:
    manager = ClusterManager(sample_config(tmp_path / "state"))
    with manager.running() as connection:
        assert check_health(connection.address, timedelta(seconds=10)).cluster == "sample"
    assert not manager.controller.status().running
    with pytest.raises(ZeroDivisionError) as caught, manager.running():
        raise ZeroDivisionError
    assert not hasattr(caught.value, "__notes__")
    assert not manager.controller.status().running
    with (
        pytest.raises(InvalidArgument, match="ends with it"),
        manager.running(keep_on_failure=True),
    ):
        pass
    assert not manager.controller.status().running


def test_what_is_kept_on_failure_can_be_reached_and_stopped(tmp_path: Path) -> None:
    manager = ClusterManager(sample_config(tmp_path / "state"), attached=False)
    try:
        with pytest.raises(ZeroDivisionError) as caught, manager.running(keep_on_failure=True):
            raise ZeroDivisionError
        (note,) = caught.value.__notes__
        assert "left running" in note
        assert f"--state-dir={tmp_path / 'state'}" in note
        assert manager.controller.status().healthy
    finally:
        manager.stop()
    with manager.running(keep_on_failure=True):
        pass
    assert not manager.controller.status().running


def test_how_to_reach_what_is_elsewhere() -> None:
    config = sample_config(Path("/nowhere"))
    config.controller_vm.manual.host = "nowhere"
    assert "--config=FILE" in ClusterManager(config).how_to_reach()


def test_which_controller() -> None:
    config = sample_config(Path("/nowhere"))
    assert isinstance(create_controller(config), LocalController)
    config.controller_vm.ClearField("local")
    with pytest.raises(InvalidArgument, match="does not say where the controller runs"):
        create_controller(config)
    config.controller_vm.manual.host = "nowhere"
    assert isinstance(create_controller(config), ManualController)
    assert not ClusterManager(config).is_local
    config.controller_vm.image = "iris:1"
    with pytest.raises(FailedPrecondition, match=r"no controllers in containers .*image: iris:1"):
        create_controller(config)
    config.controller_vm.image = ""
    config.controller_vm.gcp.SetInParent()
    with pytest.raises(FailedPrecondition, match="buys no machines") as caught:
        create_controller(config)
    assert "controller_vm.manual" in caught.value.hint
    compute = FakeCompute(Path("/nowhere"))
    assert isinstance(create_controller(config, compute=compute), GcpController)


def test_finding_clusters(tmp_path: Path) -> None:
    root = tmp_path / "iris"
    assert find_local_clusters(root) == ()
    one = ClusterManager(sample_config(root / "one"))
    two = ClusterManager(sample_config(root / "two"))
    (root / "empty").mkdir(parents=True)
    (root / "file").touch()
    try:
        address = one.start().address
        (found,) = find_local_clusters(root)
        assert (found.name, found.folder.path) == ("sample", root / "one")
        assert found.status.healthy
        assert found.connection().address == address
        two.start()
        assert [cluster.folder.path.name for cluster in find_local_clusters(root)] == ["one", "two"]
        one.stop()
        assert find_local_cluster(root / "one") is None
        assert find_local_cluster(root / "two") is not None
    finally:
        one.stop()
        two.stop()
    assert find_local_clusters(root) == ()
