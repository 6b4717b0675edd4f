"""A bought machine is entered by SSH, if its key is the one that it published in the cloud."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.lifecycle.gcp.compute_api import Instance, InstanceState
from iris.lifecycle.gcp.controller import GcpController
from iris.lifecycle.gcp.host import GcpHost
from iris.model.errors import FailedPrecondition
from iris.testing.controller_conformance import conformance_config
from iris.testing.fake_compute import FakeCompute
from iris.testing.ssh_hosts import SshHost, SshHosts


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    """Of whose key the user knows nothing."""
    with SshHosts(tmp_path_factory.mktemp("ssh"), 1) as made:
        made.forget_key(made.hosts[0])
        yield made.hosts[0]


@pytest.fixture
def config(host: SshHost, tmp_path: Path) -> config_pb2.ClusterConfig:
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text("Host *\n  UserKnownHostsFile /dev/null\n")
    identity = host.folder.parent / "id"
    made = conformance_config(
        "lab",
        f"{{gcp: {{project_id: p, zone: z, state_dir: {tmp_path / 'lib'}}}}}",
        more=f"ssh: {{config_file: {ssh_config}, identity_file: {identity}, port: {host.port}}}\n"
        f"bootstrap: {{python: {os.path.realpath(sys.executable)}}}",
    )
    made.controller_vm.gcp.port = 0
    return made


def key_of(path: Path) -> str:
    return " ".join(path.read_text().split()[:2])


def test_its_published_key_is_what_counts(host: SshHost, config: config_pb2.ClusterConfig) -> None:
    published = (key_of(host.folder / "host_key.pub"),)
    instance = Instance("lab-controller", InstanceState.RUNNING, "127.0.0.1", host_keys=published)
    with GcpHost(instance, config).session():
        pass
    for keys in ((), (key_of(host.folder.parent / "id.pub"),)):
        stranger = GcpHost(replace(instance, host_keys=keys), config)
        with pytest.raises(FailedPrecondition, match="host key"), stranger.session():
            pass


def test_from_start_to_stop(
    host: SshHost, config: config_pb2.ClusterConfig, tmp_path: Path
) -> None:
    compute = FakeCompute(tmp_path / "cloud")
    compute.host_keys = (key_of(host.folder / "host_key.pub"),)
    controller = GcpController(
        config, compute, way=lambda instance: GcpHost(instance, config, ship_dir=tmp_path / "ship")
    )
    try:
        assert controller.start().healthy
        with controller.connect() as connection:
            assert connection.address != controller.status().address
    finally:
        controller.stop()
    assert not controller.status().running
