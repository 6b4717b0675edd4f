"""Rules about the platforms that scale groups buy from: hosts, clouds, and who reaches whom."""

from iris_proto import config_pb2

from iris.config.budget import LOCAL
from iris.config.checks import Checks
from iris.config.controller_rules import (
    check_bootstrap,
    check_host,
    check_named,
    check_ssh,
)
from iris.config.errors import shown
from iris.config.groups import vms_of
from iris.model.errors import InvalidArgument

_UNREACHED = (
    "its workers could not reach a local controller, which listens on 127.0.0.1 only: it speaks no "
    "TLS yet. Use controller_vm.manual or controller_vm.gcp; `iris config local` makes a "
    "configuration of which everything runs here"
)


def check_platforms(checks: Checks) -> None:
    """Every scale group's provider, and how its machines are reached and set up."""
    for name, group in checks.config.scale_groups.items():
        prefix = f"scale_groups.{name}"
        match group.provider.WhichOneof("kind"):
            case "manual":
                _check_manual(checks, group, prefix)
            case "tpu":
                _check_tpu(checks, group, prefix)
            case "slurm":
                _check_slurm(checks, group, prefix)
        _check_reach(checks, group, prefix)
        check_ssh(checks, f"{prefix}.ssh", group.ssh)
        check_bootstrap(checks, f"{prefix}.bootstrap", group.bootstrap)
    _check_hosts_apart(checks)


def machine_name(host: str) -> str:
    """What of `user@host` says which machine it is; names of machines know no capitals."""
    return host.rpartition("@")[2].lower()


def _check_manual(checks: Checks, group: config_pb2.ScaleGroupConfig, prefix: str) -> None:
    path, hosts = f"{prefix}.provider.manual.hosts", group.provider.manual.hosts
    for index, host in enumerate(hosts):
        check_host(checks, f"{path}[{index}]", host)
    try:
        vms = vms_of(group)
    except InvalidArgument:  # a TPU that is not known; it is reported by itself
        return
    deciders = (f"{prefix}.vms_per_slice", f"{prefix}.accelerator_type")
    readable = checks.all_sound(path) and all(map(checks.loaded.is_sound, deciders))
    if not readable or not checks.is_named(path):
        return
    there = f"there {'is' if len(hosts) == 1 else 'are'} {len(hosts)}"
    if len(hosts) < vms:
        checks.add(path, f"a slice needs {_hosts(vms)}, {there}")
    elif len(hosts) < group.max_slices * vms:
        most = f"{prefix}.max_slices"
        slices = f"{group.max_slices} slices{f' of {vms} VMs' if vms > 1 else ''}"
        needed = f"{slices} need {_hosts(group.max_slices * vms)}, {there}"
        checks.add(most, f"{needed}; leave it out for as many as there are hosts for", path)


def _hosts(count: int) -> str:
    return f"{count} host" if count == 1 else f"{count} hosts"


def _check_hosts_apart(checks: Checks) -> None:
    """No machine twice, in one group or in two."""
    groups, seen = checks.config.scale_groups, dict[str, str]()
    for name in _in_order_of_the_file(checks):
        path = f"scale_groups.{name}.provider.manual.hosts"
        if not checks.all_sound(path):
            continue
        for index, host in enumerate(groups[name].provider.manual.hosts):
            machine = machine_name(host)
            if machine in seen:
                other = seen[machine]
                where = "in this list" if other == name else f"in scale group {other!r}"
                said = f"{shown(host)} stands {where} already; no host can be in two slices"
                checks.add(f"{path}[{index}]", said)
            elif machine:
                seen[machine] = name


def _check_tpu(checks: Checks, group: config_pb2.ScaleGroupConfig, prefix: str) -> None:
    path = f"{prefix}.provider.tpu"
    kind = f"{prefix}.accelerator_type"
    if group.accelerator_type != "tpu":
        found = f"is {group.accelerator_type}" if group.accelerator_type else "is not set"
        said = f"sells TPU slices, but accelerator_type {found}; say tpu, and which one"
        checks.add(path, f"{said} in accelerator_variant", kind)
    check_named(checks, path, group.provider.tpu, "project_id")
    zones = f"{prefix}.zones"
    if not group.zones:
        said = "zones is missing; name those that may be used, or a zone at the top"
        checks.add(prefix, said, zones, "zone")
    elif not all(group.zones) and checks.all_sound(zones):
        checks.add(zones, "a zone needs a name, e.g. us-central1-a")


def _check_slurm(checks: Checks, group: config_pb2.ScaleGroupConfig, prefix: str) -> None:
    path = f"{prefix}.provider.slurm.sbatch_options"
    for index, option in enumerate(group.provider.slurm.sbatch_options):
        if checks.all_sound(path) and (not option.startswith("-") or "\n" in option):
            said = f"{shown(option)} is no option of sbatch, such as --exclusive or --mem=0"
            checks.add_once(f"{path}[{index}]", said)


def _check_reach(checks: Checks, group: config_pb2.ScaleGroupConfig, prefix: str) -> None:
    """Workers dial their controller, so it has to listen where they are. Hosts of one's own reach a
    local one through the SSH connection by which they were started.
    """
    kind = group.provider.WhichOneof("kind")
    here = checks.config.controller_vm.WhichOneof("kind") == LOCAL
    if here and kind in ("tpu", "slurm"):
        checks.add(f"{prefix}.provider.{kind}", _UNREACHED)


def _in_order_of_the_file(checks: Checks) -> list[str]:
    def place(name: str) -> tuple[int, str]:
        at = checks.loaded.position(f"scale_groups.{name}")
        return (at.line if at else 0, name)

    return sorted(checks.config.scale_groups, key=place)
