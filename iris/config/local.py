"""Turns any configuration into one that runs on this machine, and holds the one that is used when
none is given.
"""

from pathlib import Path

from iris_proto import config_pb2

from iris.config.budget import LOCAL
from iris.config.loader import default_message

# The example is the real one, so that it can be copied and is never out of date.
DEFAULT_LOCAL_FILE = Path(__file__).parents[2] / "examples" / "local.yaml"


def make_local_config(config: config_pb2.ClusterConfig) -> config_pb2.ClusterConfig:
    """The same cluster with its controller and every provider on this machine; `config` is left as
    it is.

    Every group keeps its name, shape, priority, limits, attributes, taints, zones and timeouts.
    What leads elsewhere goes: hosts, projects, SSH, and what would be done on other machines before
    a worker starts there; so do the controller's image and a bundle storage in a cloud, for a local
    controller is a plain process that keeps bundles on its disk.

    Shapes that were made for a cloud seldom fit one machine, so if anything was swapped the machine
    may be oversubscribed (cluster status says so): the shapes then are what tasks are placed by,
    not what there is. A configuration that is local already comes back unchanged.
    """
    local = config_pb2.ClusterConfig()
    local.CopyFrom(config)
    swapped = False
    if local.controller_vm.WhichOneof("kind") != LOCAL:
        local.controller_vm.local.CopyFrom(default_message(config_pb2.LocalControllerConfig))
        swapped = True
    for group in local.scale_groups.values():
        if group.provider.WhichOneof("kind") != LOCAL:
            group.provider.local.CopyFrom(default_message(config_pb2.LocalProviderConfig))
            swapped = True
    if swapped:
        local.controller_vm.local.machine.oversubscribe = True
        _forget_elsewhere(local)
    return local


def _forget_elsewhere(config: config_pb2.ClusterConfig) -> None:
    for name in ("project_id", "region", "zone"):
        config.ClearField(name)
    for name in ("image", "bundle_prefix"):
        config.controller_vm.ClearField(name)
    config.ssh.CopyFrom(default_message(config_pb2.SshConfig))
    config.bootstrap.CopyFrom(default_message(config_pb2.BootstrapConfig))
    for group in config.scale_groups.values():
        group.ssh.CopyFrom(config.ssh)
        group.bootstrap.CopyFrom(config.bootstrap)
