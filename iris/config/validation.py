"""Rules over more than one field of a configuration, each reported at the key that is to blame."""

import difflib
from collections.abc import Callable

from iris_proto import config_pb2

from iris.config.budget import LOCAL, budget_problems, has_local_groups
from iris.config.checks import Checks
from iris.config.controller_rules import check_controller
from iris.config.errors import Problem, suggestion
from iris.config.loader import Loaded
from iris.config.platform_rules import check_platforms
from iris.config.quantities import format_duration
from iris.model.fleet import (
    ATTRIBUTE_PREEMPTIBLE,
    ATTRIBUTE_SCALE_GROUP,
    ATTRIBUTE_SLICE,
    ATTRIBUTE_TPU_NAME,
    ATTRIBUTE_TPU_TOPOLOGY,
    ATTRIBUTE_TPU_WORKER_ID,
    ATTRIBUTE_ZONE,
)
from iris.model.resources import Resources
from iris.model.taints import TAINT_PREFIX
from iris.model.tpu import TPU_VARIANTS, tpu_topology

_OWN_ATTRIBUTES = frozenset(
    {
        ATTRIBUTE_PREEMPTIBLE,
        ATTRIBUTE_SCALE_GROUP,
        ATTRIBUTE_SLICE,
        ATTRIBUTE_TPU_NAME,
        ATTRIBUTE_TPU_TOPOLOGY,
        ATTRIBUTE_TPU_WORKER_ID,
        ATTRIBUTE_ZONE,
    }
)


def validate(
    loaded: Loaded[config_pb2.ClusterConfig], machine: Callable[[], Resources]
) -> tuple[Problem, ...]:
    """What is wrong beyond single fields. `machine` is asked what there is only if a group lives on
    this machine.
    """
    checks = Checks(loaded)
    config = loaded.message
    for name, group in config.scale_groups.items():
        prefix = f"scale_groups.{name}"
        _check_slices(checks, group, prefix)
        _check_accelerator(checks, group, prefix)
        _check_attributes(checks, group, prefix)
    _check_order(
        checks, config.autoscaler, "autoscaler", "backoff_min", "backoff_max", strictly=False
    )
    _check_order(checks, config.worker, "worker", "heartbeat_interval", "lost_after", strictly=True)
    check_controller(checks)
    check_platforms(checks)
    here = config.controller_vm.WhichOneof("kind") == LOCAL and has_local_groups(config)
    if here and checks.may_weigh_groups():
        for path, message in budget_problems(config, machine()):
            checks.add(path, message)
    return tuple(checks.problems)


def _check_slices(checks: Checks, group: config_pb2.ScaleGroupConfig, prefix: str) -> None:
    low, high = f"{prefix}.min_slices", f"{prefix}.max_slices"
    default = "" if checks.is_named(high) else " (its default)"
    most = f"max_slices is {group.max_slices}{default}"
    if group.min_slices > group.max_slices:
        message = f"min_slices is {group.min_slices}, but {most}"
        checks.add(checks.guilty(low, high), message, low, high)
    buffer = f"{prefix}.buffer_slices"
    if group.buffer_slices > group.max_slices:
        message = f"buffer_slices is {group.buffer_slices}, but {most}"
        checks.add(checks.guilty(buffer, high), message, buffer, high)


def _check_accelerator(checks: Checks, group: config_pb2.ScaleGroupConfig, prefix: str) -> None:
    kind, variant = f"{prefix}.accelerator_type", f"{prefix}.accelerator_variant"
    count = f"{prefix}.accelerator_count"
    match group.accelerator_type:
        case "":
            for path, value in (
                (variant, group.accelerator_variant),
                (count, group.accelerator_count),
            ):
                if value:
                    checks.add(
                        path, f"is {value}, but accelerator_type is not set; say tpu or gpu", kind
                    )
        case "gpu" if not group.accelerator_count:
            checks.add(
                kind, "is gpu, but accelerator_count does not say how many each VM has", count
            )
        case "tpu" if not group.accelerator_variant:
            checks.add(
                kind,
                "is tpu, but accelerator_variant does not say which, e.g. v5litepod-16",
                variant,
            )
        case "tpu" if group.accelerator_variant not in TPU_VARIANTS:
            checks.add(
                variant, f"unknown TPU {group.accelerator_variant!r}, {_nearest_tpu(group)}", kind
            )
        case "tpu":
            _check_topology(checks, group, prefix)


def _nearest_tpu(group: config_pb2.ScaleGroupConfig) -> str:
    # Cloud documents say v5e where the API says v5litepod.
    spelled = group.accelerator_variant.lower().replace("v5e-", "v5litepod-")
    if difflib.get_close_matches(spelled, TPU_VARIANTS, n=1):
        return suggestion(spelled, TPU_VARIANTS)
    return f"known are {', '.join(TPU_VARIANTS)}"


def _check_topology(checks: Checks, group: config_pb2.ScaleGroupConfig, prefix: str) -> None:
    topology = tpu_topology(group.accelerator_variant)
    said = (
        ("vms_per_slice", group.vms_per_slice, topology.vms, "VMs in a slice"),
        ("accelerator_count", group.accelerator_count, topology.chips_per_vm, "chips per VM"),
    )
    for key, value, expected, what in said:
        if value and value != expected:
            message = f"is {value}, but a {topology.variant} has {expected} {what}; leave it out"
            checks.add(f"{prefix}.{key}", message)


def _check_attributes(checks: Checks, group: config_pb2.ScaleGroupConfig, prefix: str) -> None:
    for name in group.attributes:
        if name in _OWN_ATTRIBUTES:
            checks.add(
                f"{prefix}.attributes.{name}",
                f"{name!r} is set by Iris itself; choose another name",
            )
        elif name.startswith(TAINT_PREFIX):
            checks.add(
                f"{prefix}.attributes.{name}",
                f"{name!r} is a taint; write {name.removeprefix(TAINT_PREFIX)!r} under taints",
            )
        elif not name:
            checks.add(f"{prefix}.attributes.", "an attribute needs a name")


def _check_order(
    checks: Checks,
    section: config_pb2.AutoscalerConfig | config_pb2.WorkerConfig,
    prefix: str,
    small: str,
    large: str,
    *,
    strictly: bool,
) -> None:
    less, more = getattr(section, small).ToTimedelta(), getattr(section, large).ToTimedelta()
    if less > more or (strictly and less == more):
        relation = "less than" if strictly else "at most"
        low, high = f"{prefix}.{small}", f"{prefix}.{large}"
        rule = f"{small} has to be {relation} {large}"
        found = f"{format_duration(less)} and {format_duration(more)}"
        checks.add(checks.guilty(low, high), f"{rule}, found {found}", low, high)
