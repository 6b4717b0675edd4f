"""The kind of controller that a configuration asks for."""

from pathlib import Path

from iris_proto import config_pb2

from iris.lifecycle.gcp.compute_api import ComputeApi
from iris.lifecycle.gcp.controller import GcpController
from iris.lifecycle.local.controller import LocalController
from iris.lifecycle.protocol import ControllerProtocol
from iris.lifecycle.remote.controller import timeouts_of
from iris.lifecycle.remote.manual import ManualController
from iris.model.errors import FailedPrecondition, InvalidArgument


def create_controller(
    config: config_pb2.ClusterConfig,
    *,
    state_dir: Path | None = None,
    attached: bool = False,
    compute: ComputeApi | None = None,
) -> ControllerProtocol:
    """`state_dir` and `attached` are of local ones: see LocalController. `compute` is where a gcp one
    buys its machine.

    Raises InvalidArgument where no kind is named, FailedPrecondition for what this version cannot start.
    """
    vm = config.controller_vm
    kind = vm.WhichOneof("kind")
    if kind is None:
        raise InvalidArgument(
            "controller_vm does not say where the controller runs.", hint="Name one, e.g. local."
        )
    if kind == "local":
        timeouts = timeouts_of(config)
        return LocalController(config, state_dir=state_dir, attached=attached, timeouts=timeouts)
    if vm.image:
        raise FailedPrecondition(
            f"This version of Iris starts no controllers in containers (controller_vm.image: {vm.image}).",
            hint="Leave image out: Iris ships itself to the machine.",
        )
    if kind == "manual":
        return ManualController(config)
    if compute is None:
        raise FailedPrecondition(
            "This version of Iris buys no machines: it brings no client of Compute Engine for "
            "controller_vm.gcp.",
            hint="Use controller_vm.manual with a machine that is there, or `iris config local FILE`.",
        )
    return GcpController(config, compute)
