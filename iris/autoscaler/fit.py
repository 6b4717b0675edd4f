"""Which scale groups could hold a demand if they had all the slices they may have; and if none
could, the nearest miss.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from iris.autoscaler.demand import Demand
from iris.model.constraints import Constraint
from iris.model.fleet import (
    ATTRIBUTE_SLICE,
    ATTRIBUTE_TPU_NAME,
    ATTRIBUTE_TPU_WORKER_ID,
    ScaleGroup,
    slice_attributes,
)
from iris.model.ids import SliceId
from iris.model.pending import PendingCode, PendingReason
from iris.model.resources import format_amount
from iris.model.taints import TAINT_PREFIX, taints_of, untolerated
from iris.model.tpu import tpu_topology

# Stands for the name of a slice that does not exist yet: it exists, and is equal to nothing that
# anybody asks for.
_NEW_SLICE = SliceId("\0")
_NAMES_OF_ONE_SLICE = (ATTRIBUTE_SLICE, ATTRIBUTE_TPU_NAME)
_NO_LIMIT = 1 << 40


class Scope(Enum):
    """Which workers a demand's tasks may be spread over."""

    ANY = "any worker"
    GROUP = "the slices of one scale group"
    SLICE = "one slice"


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """How a group's slices hold a demand, and all that are like it. Compared by identity: a plan
    makes one for each kind of demand, and looks things up by it.

    Attributes:
        demand: One of those that it is about.
        copies: For each VM of an empty slice, how many tasks it takes.
        launchable: Whether a new slice would do; otherwise only one that exists, which the
            constraints name.
    """

    group: ScaleGroup
    demand: Demand
    scope: Scope
    copies: tuple[int, ...]
    launchable: bool

    @property
    def per_slice(self) -> int:
        """Tasks that one empty slice takes."""
        return sum(self.copies)

    def vms(self, slice_id: SliceId | None) -> Sequence[int]:
        """The VMs of one slice on which the constraints hold; None: one that has no name yet."""
        if names_a_slice(self.demand.constraints):
            return vms_allowed(self.group, slice_id, self.demand.constraints)
        return [vm for vm, copies in enumerate(self.copies) if copies]

    def allows(self, vm: int, slice_id: SliceId | None) -> bool:
        """Whether a VM is among them."""
        if names_a_slice(self.demand.constraints):
            return vm in self.vms(slice_id)
        return self.copies[vm] > 0


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a group could never hold a demand. The further down the list of rules it failed, the
    nearer it was.
    """

    rule: int
    subject: str
    needed: str
    nearest: str
    hint: str
    miss: float = 0.0


def worker_attributes(group: ScaleGroup, slice_id: SliceId | None, vm: int) -> Mapping[str, str]:
    """What the worker on VM number `vm` will carry; `slice_id` is None for a slice that has no name
    yet.
    """
    topology = tpu_topology(group.accelerator_variant).topology if group.is_tpu else ""
    return slice_attributes(group, slice_id or _NEW_SLICE, vm, topology)


def vms_allowed(
    group: ScaleGroup, slice_id: SliceId | None, constraints: Sequence[Constraint]
) -> Sequence[int]:
    """The VMs of a slice whose workers will satisfy all constraints."""
    if not constraints:
        return range(group.vms_per_slice)

    def allowed(vm: int) -> bool:
        attributes = worker_attributes(group, slice_id, vm)
        return all(constraint.holds(attributes) for constraint in constraints)

    vms = range(group.vms_per_slice)
    if any(constraint.attribute == ATTRIBUTE_TPU_WORKER_ID for constraint in constraints):
        return [vm for vm in vms if allowed(vm)]
    # Nothing else differs between the VMs of one slice.
    return vms if allowed(0) else ()


def names_a_slice(constraints: Iterable[Constraint]) -> bool:
    """Whether the slices of one group may differ in whether the constraints hold."""
    return any(rule.attribute in _NAMES_OF_ONE_SLICE for rule in constraints)


def scope_of(group: ScaleGroup, demand: Demand) -> Scope | None:
    """Over what the demand's tasks may be spread in this group; None if the group's workers have no
    such attribute to share.
    """
    if demand.gang is None:
        return Scope.ANY
    group_by = demand.gang.group_by
    if group_by == ATTRIBUTE_TPU_WORKER_ID or group_by not in worker_attributes(group, None, 0):
        return None
    return Scope.SLICE if group_by in _NAMES_OF_ONE_SLICE else Scope.GROUP


def fit(group: ScaleGroup, demand: Demand, existing: Iterable[SliceId] = ()) -> Fit | Misfit:
    """Whether slices of the group could hold the demand; `existing` are those there are, for
    constraints that name one.
    """
    if group.max_slices < 1:
        return Misfit(0, group.name, "a slice", f"{group.name}, whose max_slices is 0", "Raise it.")
    allowed = vms_allowed(group, None, demand.constraints)
    launchable = bool(allowed)
    if not launchable and names_a_slice(demand.constraints):
        found = (vms_allowed(group, slice_id, demand.constraints) for slice_id in existing)
        allowed = next(filter(None, found), ())
    if not allowed:
        return _unmet_constraint(group, demand.constraints)
    taint = untolerated(_taints(group), demand.tolerations)
    if taint is not None:
        return _tainted(group, taint)
    scope = scope_of(group, demand)
    if scope is None:
        assert demand.gang is not None
        return Misfit(
            2,
            demand.gang.group_by,
            f"workers that share one {demand.gang.group_by}",
            f"scale group {group.name}, whose workers have no such attribute",
            f"They share {', '.join(sorted(worker_attributes(group, None, 0)))}.",
        )
    each = demand.resources.copies_in(group.vm, _NO_LIMIT)
    if not each:
        return _too_small(group, demand)
    copies = tuple(each if vm in allowed else 0 for vm in range(group.vms_per_slice))
    return _large_enough(Fit(group, demand, scope, copies, launchable), demand)


def fitting(
    groups: Iterable[ScaleGroup], demand: Demand, existing: Mapping[str, Sequence[SliceId]]
) -> tuple[Fit, ...] | PendingReason:
    """The groups that could hold the demand, the one to be bought first first; or why there is
    none.

    The order: `priority`, then fewest kinds of accelerators that nobody asked for, then, for a gang
    on one slice, the smallest slice, then the name.
    """
    answers = [fit(group, demand, existing.get(group.name, ())) for group in groups]
    fits = [answer for answer in answers if isinstance(answer, Fit)]
    if fits:
        return tuple(sorted(fits, key=lambda one: _preference(one, demand)))
    misfits = [answer for answer in answers if isinstance(answer, Misfit)]
    if not misfits:
        hint = "Add a scale group to the configuration."
        return PendingReason(
            PendingCode.NO_GROUP_FITS, hint=hint, nearest="none: there is no group"
        )
    best = max(misfits, key=lambda one: (one.rule, -one.miss))
    return PendingReason(
        PendingCode.NO_GROUP_FITS, best.subject, best.needed, best.nearest, hint=best.hint
    )


def needed_by(demand: Demand) -> str:
    """What a demand asks for, for people."""
    if demand.gang is not None:
        return f"{demand.tasks} times {demand.resources} with one {demand.gang.group_by}"
    return f"{demand.tasks} times {demand.resources}" if demand.tasks > 1 else str(demand.resources)


def _preference(one: Fit, demand: Demand) -> tuple[int, int, int, str]:
    wanted = {kind for kind, _ in demand.resources.accelerators}
    strangers = sum(kind not in wanted for kind, _ in one.group.vm.accelerators)
    size = one.per_slice if one.scope is Scope.SLICE else 0
    return one.group.priority, strangers, size, one.group.name


def _unmet_constraint(group: ScaleGroup, constraints: Sequence[Constraint]) -> Misfit:
    attributes = worker_attributes(group, None, 0)
    unmet = next((rule for rule in constraints if not rule.holds(attributes)), constraints[0])
    value = attributes.get(unmet.attribute)
    if value is None:
        nearest = f"scale group {group.name}, whose workers have no such attribute"
    elif _NEW_SLICE in value:
        nearest = f"scale group {group.name}, but no slice of that name exists"
    else:
        nearest = f"{unmet.attribute} = {value} in scale group {group.name}"
    hint = "Change the constraint, or add a scale group with such workers."
    return Misfit(1, unmet.attribute, str(unmet), nearest, hint, float(value is None))


def _taints(group: ScaleGroup) -> Mapping[str, str]:
    if not any(name.startswith(TAINT_PREFIX) for name, _ in group.attributes):
        return {}
    return taints_of(dict(group.attributes))


def _tainted(group: ScaleGroup, taint: str) -> Misfit:
    value = _taints(group)[taint]
    return Misfit(
        1,
        taint,
        "workers without that taint",
        f"scale group {group.name}, whose workers have the taint {taint}{'=' if value else ''}{value}",
        "Tolerate the taint, or add a scale group without it.",
    )


def _too_small(group: ScaleGroup, demand: Demand) -> Misfit:
    def missing(shortage: tuple[str, int, int]) -> tuple[float, bool]:
        name, wanted, have = shortage
        return (wanted - have) / wanted, name not in ("cpu", "memory", "disk", "ports")

    shortages = demand.resources.shortages(group.vm)
    name, wanted, have = max(shortages, key=missing)
    return Misfit(
        3,
        name,
        format_amount(name, wanted),
        f"{format_amount(name, have)} per VM in scale group {group.name}",
        "Ask for less, or add a scale group with larger VMs.",
        sum(missing(shortage)[0] for shortage in shortages),
    )


def _large_enough(one: Fit, demand: Demand) -> Fit | Misfit:
    if one.scope is Scope.ANY:
        return one
    slices = 1 if one.scope is Scope.SLICE else one.group.max_slices
    most = one.per_slice * slices
    if most >= demand.tasks:
        return one
    assert demand.gang is not None
    where = "a slice" if one.scope is Scope.SLICE else f"all {slices} slices"
    return Misfit(
        4,
        demand.gang.group_by,
        needed_by(demand),
        f"{where} of scale group {one.group.name}, with room for {most} tasks",
        "Use fewer or smaller tasks, or add a scale group with larger slices.",
        (demand.tasks - most) / demand.tasks,
    )
