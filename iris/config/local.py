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

    Names, shapes, attributes, priorities and limits are kept. Shapes that were made for a cloud
    seldom fit one machine, so if anything was swapped the machine may be oversubscribed (cluster
    status says so): the shapes then are what tasks are placed by, not what there is. A
    configuration that is local already comes back unchanged.
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
    return local
