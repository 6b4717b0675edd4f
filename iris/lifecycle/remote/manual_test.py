"""What goes wrong between a person and the host of their controller, and how it is said."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.lifecycle.cluster_manager import ClusterManager
from iris.lifecycle.remote.manual import ManualController
from iris.model.errors import FailedPrecondition, Unavailable
from iris.testing.controller_conformance import conformance_config
from iris.testing.ssh_hosts import SshHosts


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHosts]:
    """One, through which no port is forwarded."""
    options = {"AllowTcpForwarding": "no"}
    with SshHosts(tmp_path_factory.mktemp("ssh"), 1, server_options=options) as made:
        yield made


@pytest.fixture(scope="module")
def ship_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the file to ship is made."""
    return tmp_path_factory.mktemp("ship")


def config_of(hosts: SshHosts, python: str = "") -> config_pb2.ClusterConfig:
    python = python or os.path.realpath(sys.executable)
    return conformance_config(
        "lab",
        f"{{manual: {{host: {hosts.names[0]}}}}}",
        more=f"ssh: {{config_file: {hosts.config_file}}}\nbootstrap: {{python: {python}}}",
    )


def test_a_host_that_is_down(tmp_path: Path, ship_dir: Path) -> None:
    with SshHosts(tmp_path / "ssh", 1) as hosts:
        (host,) = hosts.hosts
        controller = ManualController(config_of(hosts), ship_dir=ship_dir)
        hosts.stop(host)
        status = controller.status()
        assert (status.running, status.healthy, status.vm_name) == (False, False, host.name)
        assert f"{host.name} cannot be asked" in status.problem
        assert "refuses the connection" in status.problem
        assert controller.discover() is None
        with pytest.raises(Unavailable, match="refuses the connection"):
            controller.start()
        with pytest.raises(Unavailable, match="refuses the connection"), controller.connect():
            pass


def test_a_python_that_is_not_there(hosts: SshHosts, ship_dir: Path) -> None:
    controller = ManualController(config_of(hosts, "/opt/no/python3"), ship_dir=ship_dir)
    with pytest.raises(FailedPrecondition, match="There is no /opt/no/python3 on host0") as caught:
        controller.start()
    assert "bootstrap.python" in caught.value.hint


def test_a_program_that_is_no_python(hosts: SshHosts, ship_dir: Path) -> None:
    controller = ManualController(config_of(hosts, "/bin/false"), ship_dir=ship_dir)
    with pytest.raises(Unavailable, match="Iris ended on host0 with exit status 1: without a word"):
        controller.start()


def test_a_controller_to_which_no_tunnel_leads(hosts: SshHosts, ship_dir: Path) -> None:
    manager = ClusterManager(config_of(hosts))
    assert not manager.is_local
    controller = ManualController(config_of(hosts), ship_dir=ship_dir)
    home = hosts.hosts[0].home
    try:
        with pytest.raises(Unavailable, match="the tunnel to it does not work") as caught:
            controller.start()
        assert "AllowTcpForwarding" in str(caught.value)
        # Where they are unless the configuration says otherwise.
        assert (home / ".local" / "state" / "iris" / "lab" / "controller.json").exists()
        assert list((home / ".cache" / "iris" / "lab" / "controller").glob("iris-*.pyz"))
        status = controller.status()
        assert (status.running, status.healthy) == (True, False)
        assert "AllowTcpForwarding" in status.problem
        with pytest.raises(Unavailable, match="tunnel"), controller.connect():
            pass
    finally:
        controller.stop()
    assert not controller.status().running
