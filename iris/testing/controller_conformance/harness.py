"""What the suite needs to know of an implementation, and to be able to do to it."""

from datetime import timedelta
from pathlib import Path
from typing import Protocol

from iris_proto import config_pb2

from iris.config import parse_config
from iris.lifecycle.protocol import ControllerProtocol

_TEXT = """
name: {name}
controller_vm: {controller_vm}
scale_groups:
  cpu:
    provider: {{local: {{workers: {workers}}}}}
    vm: {{cpu: 500m, memory: 64MiB, disk: 64MiB}}
    max_slices: 2
autoscaler:
  idle_timeout: 1h
worker:
  stop_grace: 0.2s
{more}
"""


def conformance_config(
    name: str, controller_vm: str, *, more: str = "", workers: str = "IN_PROCESS"
) -> config_pb2.ClusterConfig:
    """A small cluster whose workers live beside its controller, wherever that is.

    Args:
        controller_vm: YAML in one line.
        more: Further YAML at the top.
    """
    text = _TEXT.format(name=name, controller_vm=controller_vm, more=more, workers=workers)
    return parse_config(text, f"{name}.yaml")


class ControllerHarness(Protocol):
    """One cluster that does not run yet, and the world that it will run in. Nothing of it is left
    once the fixture that made it has ended.

    Attributes:
        config: The cluster's.
        state_dir: Where its controller keeps its state, as a path of this machine, whatever the
            controller takes it for; it need not exist yet.
    """

    config: config_pb2.ClusterConfig
    state_dir: Path

    def make(
        self,
        config: config_pb2.ClusterConfig | None = None,
        *,
        health_timeout: timedelta | None = None,
    ) -> ControllerProtocol:
        """A fresh object, as a new process would make it; of another configuration of the cluster if
        one is given.
        """

    def elsewhere(self, expression: str) -> str:
        """What another process says when it is asked to print `expression`, in which `controller` is
        a fresh object. That process has ended then.
        """

    def neighbour(self) -> "ControllerHarness":
        """Of another cluster in the same world: the same machine, host or cloud. Ends with this
        one.
        """

    def with_port(self, port: int) -> config_pb2.ClusterConfig:
        """The cluster's configuration with this port for its controller."""
