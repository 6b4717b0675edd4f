"""The kind of controller that a configuration asks for."""

from pathlib import Path

from iris_proto import config_pb2

from iris.lifecycle.local import LocalController
from iris.lifecycle.manual import ManualController
from iris.lifecycle.protocol import ControllerProtocol
from iris.model.errors import FailedPrecondition, InvalidArgument


def create_controller(
    config: config_pb2.ClusterConfig, *, state_dir: Path | None = None, attached: bool = False
) -> ControllerProtocol:
    """`state_dir` and `attached` are of local ones: see LocalController. Raises InvalidArgument where
    none is named, FailedPrecondition for a kind that this version cannot start.
    """
    match config.controller_vm.WhichOneof("kind"):
        case "local":
            return LocalController(config, state_dir=state_dir, attached=attached)
        case "manual":
            return ManualController(config)
        case None:
            raise InvalidArgument(
                "controller_vm does not say where the controller runs.",
                hint="Name one, e.g. local.",
            )
        case kind:
            raise FailedPrecondition(
                f"This version of Iris starts no {kind} controllers.",
                hint="`iris config local FILE` turns the configuration into one for this machine.",
            )
