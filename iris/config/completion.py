"""What a configuration leaves out and other keys of it decide: a schema's default cannot say that."""

from iris_proto import config_pb2

from iris.config.groups import vms_of
from iris.config.loader import Loaded, Origin
from iris.model.errors import InvalidArgument


def complete(loaded: Loaded[config_pb2.ClusterConfig]) -> dict[str, Origin]:
    """Fills in, and says where it comes from: slices of hosts of one's own, as many as there are
    hosts for; and the cluster's zone for what is bought from a cloud.
    """
    found: dict[str, Origin] = {}
    for name, group in loaded.message.scale_groups.items():
        path = f"scale_groups.{name}"
        match group.provider.WhichOneof("kind"):
            case "manual" if f"{path}.max_slices" not in loaded.origins:
                hosts = loaded.origins.get(f"{path}.provider.manual.hosts")
                slices = _slices_of_hosts(group)
                if hosts is not None and slices:
                    group.max_slices = slices
                    found[f"{path}.max_slices"] = hosts
            case "tpu" if f"{path}.zones" not in loaded.origins:
                zone = loaded.origins.get("zone")
                if zone is not None and loaded.message.zone:
                    group.zones.append(loaded.message.zone)
                    found[f"{path}.zones"] = found[f"{path}.zones[0]"] = zone
            case _:
                continue
    return found


def _slices_of_hosts(group: config_pb2.ScaleGroupConfig) -> int:
    try:
        return len(group.provider.manual.hosts) // vms_of(group)
    except InvalidArgument:  # a TPU that is not known; it is reported by itself
        return 0
