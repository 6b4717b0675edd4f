"""Scale groups of a configuration as the model's values: what one slice of each is made of."""

from iris_proto import config_pb2

from iris.model.fleet import ATTRIBUTE_ZONE, ScaleGroup
from iris.model.resources import Resources, accelerators_of
from iris.model.taints import TAINT_PREFIX
from iris.model.tpu import tpu_topology

TPU = "tpu"


def scale_groups_of(config: config_pb2.ClusterConfig) -> tuple[ScaleGroup, ...]:
    """The groups of a loaded configuration, in the order in which they are tried: by priority, then
    by name.
    """
    groups = (scale_group(name, group) for name, group in config.scale_groups.items())
    return tuple(sorted(groups, key=lambda group: (group.priority, group.name)))


def scale_group(name: str, config: config_pb2.ScaleGroupConfig) -> ScaleGroup:
    """One group. A TPU's variant says how many VMs a slice has and how many chips each; otherwise
    the configuration does.

    Raises InvalidArgument for a TPU variant that is not known.
    """
    chips = config.accelerator_count
    if config.accelerator_type == TPU:
        chips = tpu_topology(config.accelerator_variant).chips_per_vm
    platform = config.provider.WhichOneof("kind") or ""
    attributes = dict(config.attributes)
    attributes.update({TAINT_PREFIX + key: value for key, value in config.taints.items()})
    if config.zones:
        # A simulated machine lives in the first zone its group may use; a real platform says where
        # it bought each slice.
        attributes[ATTRIBUTE_ZONE] = config.zones[0]
    return ScaleGroup(
        name=name,
        platform=platform,
        vm=Resources(
            cpu_millis=config.vm.cpu,
            memory_bytes=config.vm.memory,
            disk_bytes=config.vm.disk,
            accelerators=accelerators_of({accelerator_kind(config): chips} if chips else {}),
            ports=config.vm.ports,
        ),
        vms_per_slice=vms_of(config),
        min_slices=config.min_slices,
        max_slices=config.max_slices,
        priority=config.priority,
        accelerator_type=config.accelerator_type,
        accelerator_variant=config.accelerator_variant,
        preemptible=config.preemptible,
        attributes=tuple(sorted(attributes.items())),
        buffer_slices=config.buffer_slices,
        zones=tuple(config.zones),
        runtime_version=config.runtime_version,
    )


def vms_of(config: config_pb2.ScaleGroupConfig) -> int:
    """VMs in one slice. Raises InvalidArgument for a TPU variant that is not known."""
    if config.accelerator_type == TPU:
        return tpu_topology(config.accelerator_variant).vms
    return config.vms_per_slice or 1


def accelerator_kind(config: config_pb2.ScaleGroupConfig) -> str:
    """The name under which jobs ask for the group's chips or cards: `tpu/v5litepod-16`, `gpu/h100`,
    `gpu`.
    """
    return "/".join(filter(None, (config.accelerator_type, config.accelerator_variant)))
