"""A local controller keeps what every controller promises."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.lifecycle.local.controller import LocalController, LocalTimeouts
from iris.lifecycle.local.sample_cluster import run_program
from iris.testing.controller_conformance import ControllerConformance, conformance_config

_VM = "{{local: {{state_dir: {folder}, machine: {{oversubscribe: true}}}}}}"


class LocalHarness:
    """See ControllerHarness."""

    def __init__(self, root: Path, name: str = "mine") -> None:
        self._root = root
        self.state_dir = root / name
        self.config = conformance_config(name, _VM.format(folder=self.state_dir))
        self._neighbours: list[LocalHarness] = []

    def make(
        self,
        config: config_pb2.ClusterConfig | None = None,
        *,
        health_timeout: timedelta | None = None,
    ) -> LocalController:
        timeouts = LocalTimeouts(health=health_timeout) if health_timeout else LocalTimeouts()
        return LocalController(config or self.config, timeouts=timeouts)

    def elsewhere(self, expression: str) -> str:
        program = f"controller = LocalController(config)\nprint({expression})"
        return run_program(program, self.config, self._root)

    def neighbour(self) -> "LocalHarness":
        self._neighbours.append(LocalHarness(self._root, "theirs"))
        return self._neighbours[-1]

    def with_port(self, port: int) -> config_pb2.ClusterConfig:
        config = config_pb2.ClusterConfig()
        config.CopyFrom(self.config)
        config.controller_vm.local.port = port
        return config

    def end(self) -> None:
        """Nothing runs afterwards."""
        for one in (self, *self._neighbours):
            one.make().stop()


class TestLocalController(ControllerConformance):
    """See iris.testing.controller_conformance."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[LocalHarness]:
        harness = LocalHarness(tmp_path)
        yield harness
        harness.end()
