"""Which controller a command is about, running or not: that of a configuration, or one of this machine."""

from dataclasses import dataclass
from pathlib import Path

from iris_proto import config_pb2

from iris.cli.cluster_arguments import ClusterFlags
from iris.cli.config_commands import load_configuration
from iris.cli.context import Context
from iris.cli.errors import UsageError
from iris.cli.find_cluster import find_stopped
from iris.lifecycle.create import create_controller
from iris.lifecycle.protocol import ControllerProtocol


@dataclass(frozen=True, slots=True)
class NamedController:
    """A cluster's.

    Attributes:
        flag: With which the `iris` command finds the cluster again.
    """

    name: str
    controller: ControllerProtocol
    flag: str


def configured_controller(flags: ClusterFlags, context: Context) -> NamedController:
    """Of the cluster that --config describes. Raises UsageError where it is not given, or does not go
    with the other flags, and what reading it raises. Blocks.
    """
    if flags.config is None:
        raise UsageError(
            "Which cluster?", hint="Name its configuration: --config=FILE. examples/ has some."
        )
    if flags.address is not None or flags.token_file is not None:
        raise UsageError(
            "--config does not go with --address or --token-file.",
            hint="The configuration says where the cluster is.",
        )
    config = load_configuration(flags.config, context)
    state_dir = _state_dir(flags, config, context)
    controller = create_controller(config, state_dir=state_dir)
    flag = f"--config={flags.config}"
    if state_dir is not None:
        flag += f" --state-dir={flags.state_dir}"
    return NamedController(config.name, controller, flag)


def find_controller(flags: ClusterFlags, context: Context) -> NamedController:
    """The same, or of the cluster whose state folder is on this machine, as it was configured when it was
    last started. Blocks.
    """
    if flags.config is not None:
        return configured_controller(flags, context)
    folder = find_stopped(flags, context)
    config = folder.read_config()
    controller = create_controller(config, state_dir=folder.path)
    return NamedController(config.name, controller, f"--state-dir={folder.path}")


def _state_dir(
    flags: ClusterFlags, config: config_pb2.ClusterConfig, context: Context
) -> Path | None:
    if flags.state_dir is None:
        return None
    if not config.controller_vm.HasField("local"):
        raise UsageError(
            f"--state-dir does not go with {flags.config}: its controller is on another machine.",
            hint="controller_vm says where it keeps its state there.",
        )
    return (context.folder / flags.state_dir).absolute()
