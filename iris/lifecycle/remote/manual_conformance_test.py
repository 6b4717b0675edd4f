"""A controller on a host that is reached by SSH keeps what every controller promises.

One real SSH server on this machine is the host of all clusters.
"""

import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.lifecycle.local.sample_cluster import run_program
from iris.lifecycle.remote.manual import ManualController
from iris.testing.controller_conformance import ControllerConformance, conformance_config
from iris.testing.ssh_hosts import SshHosts

_MORE = """
ssh: {{config_file: {ssh_config}}}
bootstrap: {{python: {python}, work_dir: {work_dir}}}
"""


class ManualHarness:
    """See ControllerHarness."""

    def __init__(self, hosts: SshHosts, work_dir: Path, root: Path, name: str = "mine") -> None:
        self._hosts, self._work_dir, self._root = hosts, work_dir, root
        self.state_dir = root / name
        more = _MORE.format(
            ssh_config=hosts.config_file,
            python=os.path.realpath(sys.executable),
            work_dir=work_dir,
        )
        where = f"{{manual: {{host: {hosts.names[0]}, state_dir: {self.state_dir}}}}}"
        self.config = conformance_config(name, where, more=more)
        self._neighbours: list[ManualHarness] = []

    def make(
        self,
        config: config_pb2.ClusterConfig | None = None,
        *,
        health_timeout: timedelta | None = None,
    ) -> ManualController:
        return ManualController(
            config or self.config, health_timeout=health_timeout, ship_dir=self._work_dir
        )

    def elsewhere(self, expression: str) -> str:
        program = (
            "from iris.lifecycle.remote.manual import ManualController\n"
            f"controller = ManualController(config, ship_dir=Path({str(self._work_dir)!r}))\n"
            f"print({expression})"
        )
        return run_program(program, self.config, self._root)

    def neighbour(self) -> "ManualHarness":
        made = ManualHarness(self._hosts, self._work_dir, self._root, "theirs")
        self._neighbours.append(made)
        return made

    def with_port(self, port: int) -> config_pb2.ClusterConfig:
        config = config_pb2.ClusterConfig()
        config.CopyFrom(self.config)
        config.controller_vm.manual.port = port
        return config

    def end(self) -> None:
        """Nothing runs afterwards."""
        for one in (self, *self._neighbours):
            one.make().stop()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHosts]:
    """One of them."""
    with SshHosts(tmp_path_factory.mktemp("ssh"), 1) as made:
        yield made


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is shipped there is shipped once."""
    return tmp_path_factory.mktemp("ship")


class TestManualController(ControllerConformance):
    """See iris.testing.controller_conformance."""

    @pytest.fixture
    def harness(self, hosts: SshHosts, work_dir: Path, tmp_path: Path) -> Iterator[ManualHarness]:
        harness = ManualHarness(hosts, work_dir, tmp_path)
        yield harness
        harness.end()
