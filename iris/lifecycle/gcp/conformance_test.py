"""A controller on a bought machine keeps what every controller promises. The cloud is a folder, the
controllers in it are real.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from iris_proto import config_pb2

from iris.lifecycle.gcp.controller import GcpController
from iris.lifecycle.local.sample_cluster import run_program
from iris.testing.controller_conformance import ControllerConformance, conformance_config
from iris.testing.fake_compute import FakeCompute

_PROGRAM = """
from iris.lifecycle.gcp.controller import GcpController
from iris.testing.fake_compute import FakeCompute
config.controller_vm.gcp.port = 0
compute = FakeCompute(Path({folder!r}))
controller = GcpController(config, compute, way=compute.way)
print({expression})
"""


class GcpHarness:
    """See ControllerHarness."""

    def __init__(self, root: Path, name: str = "mine") -> None:
        self._root = root
        self._compute = FakeCompute(root / "cloud")
        where = f"{{gcp: {{project_id: p, zone: z, state_dir: {root / 'lib'}}}}}"
        self._written = conformance_config(name, where)
        # All machines are this one: each takes a port that is free.
        self.config = self.with_port(0)
        self.state_dir = root / "lib" / name
        self._neighbours: list[GcpHarness] = []

    def make(
        self,
        config: config_pb2.ClusterConfig | None = None,
        *,
        health_timeout: timedelta | None = None,
    ) -> GcpController:
        compute = self._compute
        return GcpController(
            config or self.config, compute, health_timeout=health_timeout, way=compute.way
        )

    def elsewhere(self, expression: str) -> str:
        program = _PROGRAM.format(folder=str(self._root / "cloud"), expression=expression)
        return run_program(program, self._written, self._root)

    def neighbour(self) -> "GcpHarness":
        self._neighbours.append(GcpHarness(self._root, "theirs"))
        return self._neighbours[-1]

    def with_port(self, port: int) -> config_pb2.ClusterConfig:
        config = config_pb2.ClusterConfig()
        config.CopyFrom(self._written)
        config.controller_vm.gcp.port = port
        return config

    def end(self) -> None:
        """Nothing runs afterwards."""
        for one in (self, *self._neighbours):
            one.make().stop()
        self._compute.end()


class TestGcpController(ControllerConformance):
    """See iris.testing.controller_conformance."""

    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[GcpHarness]:
        harness = GcpHarness(tmp_path)
        yield harness
        harness.end()
