"""Do the local scale groups fit into what this machine lends to the cluster?"""

from collections.abc import Iterator

from iris_proto import config_pb2

from iris.config.groups import scale_groups_of
from iris.model.errors import InvalidArgument
from iris.model.fleet import ScaleGroup
from iris.model.resources import Resources, format_amount

LOCAL = "local"
_REMEDY = (
    "make it smaller, lend more in controller_vm.local.machine, or set oversubscribe: true there"
)


def machine_budget(config: config_pb2.ClusterConfig, machine: Resources) -> Resources:
    """What the cluster may use here: what the configuration lends; where it is silent, what there
    is (`machine`).
    """
    lent = config.controller_vm.local.machine
    return Resources(
        lent.cpu or machine.cpu_millis,
        lent.memory or machine.memory_bytes,
        lent.disk or machine.disk_bytes,
    )


def has_local_groups(config: config_pb2.ClusterConfig) -> bool:
    """Whether any slice would live on this machine."""
    return any(group.provider.WhichOneof("kind") == LOCAL for group in config.scale_groups.values())


def budget_problems(
    config: config_pb2.ClusterConfig, machine: Resources
) -> Iterator[tuple[str, str]]:
    """What can never fit, as (path of the guilty key, message with both numbers). One problem for
    each group.
    """
    if config.controller_vm.local.machine.oversubscribe:
        return
    budget = machine_budget(config, machine)
    always = Resources()
    groups = [group for group in scale_groups_of(config) if group.platform == LOCAL]
    fits = True
    for group in groups:
        problem = _group_problem(group, budget)
        if problem:
            fits = False
            yield f"scale_groups.{group.name}.vm", problem
        always += _own(group) * (group.vms_per_slice * group.min_slices)
    shortage = _shortage(always, budget)
    if fits and shortage:
        yield (
            "scale_groups",
            f"the min_slices of all local groups together need {shortage}; {_REMEDY}",
        )


def check_budget(config: config_pb2.ClusterConfig, machine: Resources) -> None:
    """Raises InvalidArgument, one line a problem, if local groups can never fit."""
    problems = [f"{path}: {message}" for path, message in budget_problems(config, machine)]
    if problems:
        raise InvalidArgument("\n".join(problems))


def _group_problem(group: ScaleGroup, budget: Resources) -> str:
    shortage = _shortage(_own(group), budget)
    if shortage:
        return f"one VM needs {shortage}; {_REMEDY}"
    shortage = _shortage(_own(group) * group.vms_per_slice, budget)
    if shortage:
        return f"a slice of {group.vms_per_slice} VMs needs {shortage}; {_REMEDY}"
    return ""


def _own(group: ScaleGroup) -> Resources:
    # Chips are simulated: a machine has as many as its groups say. Ports are leased one by one, from
    # more than all groups together will ever need.
    return Resources(group.vm.cpu_millis, group.vm.memory_bytes, group.vm.disk_bytes)


def _shortage(needed: Resources, budget: Resources) -> str:
    """`8 cores, this machine's budget is 2 cores`; empty if it fits."""
    return " and ".join(
        f"{format_amount(name, wanted)}, this machine's budget is {format_amount(name, there)}"
        for name, wanted, there in needed.shortages(budget)
    )
