"""The controller of a cluster on a machine that is there, reached by SSH."""

from datetime import timedelta
from pathlib import Path

from iris_proto import config_pb2

from iris.lifecycle.remote.controller import RemoteController, host_config, timeouts_of
from iris.lifecycle.remote.host_by_ssh import HostBySsh
from iris.ssh import ssh_options_of


class ManualController(RemoteController):
    """See ControllerProtocol and RemoteController.

    The machine needs an sshd and `bootstrap.python`, nothing else: Iris is shipped as one file, into
    `bootstrap.work_dir`. The controller listens on that machine's 127.0.0.1, as a local one does, and
    `connect` tunnels to it.

    Args:
        config: Complete, with a manual controller.
        health_timeout: Of one Health call; default: as of a local controller.
        ship_dir: See HostBySsh.
    """

    def __init__(
        self,
        config: config_pb2.ClusterConfig,
        *,
        health_timeout: timedelta | None = None,
        ship_dir: Path | None = None,
    ) -> None:
        manual, bootstrap = config.controller_vm.manual, config.bootstrap
        host = HostBySsh(
            manual.host,
            ssh_options_of(config.ssh, config.timeouts.ssh_connect_timeout.ToTimedelta()),
            python=bootstrap.python,
            # Not where workers of the machine have theirs: each has to keep what it runs from.
            work_dir=f"{bootstrap.work_dir or f'~/.cache/iris/{config.name}'}/controller",
            ship_dir=ship_dir,
        )
        super().__init__(
            host_config(config, port=manual.port, state_dir=manual.state_dir),
            host,
            timeouts=timeouts_of(config, health_timeout),
        )
