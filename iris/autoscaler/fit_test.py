"""Which groups could hold a demand, in which order they are tried, and what is said when none
could.
"""

from dataclasses import replace

import pytest

from iris.autoscaler.demand import Demand
from iris.autoscaler.fit import Fit, Misfit, Scope, fit, fitting, scope_of
from iris.autoscaler.scaling_cases import FOUR_CHIPS, cpu_group, demand, gang, tpu_group
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.model.pending import PendingCode, PendingReason
from iris.model.resources import Resources
from iris.model.taints import Toleration

CPU = cpu_group(attributes={"zone": "eu"})
TPU = tpu_group()

TAINTED = cpu_group("tainted", attributes={"taint/gpu-only": "yes", "taint/old": ""})


def eq(attribute: str, value: str) -> Constraint:
    return Constraint(attribute, ConstraintOp.EQ, (value,))


@pytest.mark.parametrize(
    ("group", "group_by", "scope"),
    [
        (TPU, "tpu-name", Scope.SLICE),
        (CPU, "tpu-name", None),
        (CPU, "slice-id", Scope.SLICE),
        (TPU, "scale-group", Scope.GROUP),
        (TPU, "tpu-topology", Scope.GROUP),
        (CPU, "zone", Scope.GROUP),
        (TPU, "zone", None),
        (CPU, "preemptible", Scope.GROUP),
        (TPU, "tpu-worker-id", None),
        (CPU, "no-such", None),
    ],
)
def test_what_a_gang_may_be_spread_over(
    group: ScaleGroup, group_by: str, scope: Scope | None
) -> None:
    assert scope_of(group, gang(group_by=group_by)) is scope


@pytest.mark.parametrize(
    ("group", "wanted", "copies"),
    [
        (CPU, demand(), (4,)),
        (CPU, demand("a", Resources(4000)), (4 // 4,)),
        (cpu_group(vms=3), demand("a", Resources(1500)), (2, 2, 2)),
        (TPU, gang(), (1, 1, 1, 1)),
        (TPU, gang(tasks=8, need=Resources(500)), (2, 2, 2, 2)),
        (TPU, demand("a", FOUR_CHIPS, 1, eq("tpu-worker-id", "2")), (0, 0, 1, 0)),
        (CPU, demand("a", None, 1, eq("zone", "eu"), eq("scale-group", "cpu")), (4,)),
        (TPU, demand("a", FOUR_CHIPS, 1, eq("tpu-topology", "4x4")), (1, 1, 1, 1)),
        (CPU, demand("a", None, 1, Constraint("slice-id", ConstraintOp.EXISTS)), (4,)),
        (CPU, demand("a", None, 1, Constraint("slice-id", ConstraintOp.NE, ("x",))), (4,)),
        (
            cpu_group(most=2, cores=1),
            gang(tasks=2, group_by="scale-group", need=Resources(1000)),
            (1,),
        ),
    ],
)
def test_what_a_slice_holds(group: ScaleGroup, wanted: Demand, copies: tuple[int, ...]) -> None:
    answer = fit(group, wanted)
    assert isinstance(answer, Fit)
    assert (answer.copies, answer.launchable) == (copies, True)


@pytest.mark.parametrize(
    ("group", "wanted", "subject", "nearest"),
    [
        (cpu_group(most=0), demand(), "cpu", "cpu, whose max_slices is 0"),
        (CPU, demand("a", Resources(8000)), "cpu", "4 cores per VM in scale group cpu"),
        (
            CPU,
            demand("a", FOUR_CHIPS),
            "tpu/v5litepod-16",
            "0 tpu/v5litepod-16 per VM in scale group cpu",
        ),
        (CPU, demand("a", None, 1, eq("zone", "us")), "zone", "zone = eu in scale group cpu"),
        (CPU, demand("a", Resources(1000, ports=2)), "ports", "0 ports per VM in scale group cpu"),
        (
            TAINTED,
            demand("a", Resources(99_000)),
            "gpu-only",
            "scale group tainted, whose workers have the taint gpu-only=yes",
        ),
        (
            CPU,
            demand("a", Resources(99_000), 1, eq("disk", "ssd")),
            "disk",
            "scale group cpu, whose workers have no such attribute",
        ),
        (
            CPU,
            gang(need=Resources(1)),
            "tpu-name",
            "scale group cpu, whose workers have no such attribute",
        ),
        (TPU, gang(tasks=5), "tpu-name", "a slice of scale group tpu, with room for 4 tasks"),
        (
            tpu_group(most=2),
            gang(tasks=9, group_by="scale-group"),
            "scale-group",
            "all 2 slices of scale group tpu, with room for 8 tasks",
        ),
        (
            CPU,
            demand("a", None, 1, eq("slice-id", "x")),
            "slice-id",
            "scale group cpu, but no slice of that name exists",
        ),
    ],
)
def test_why_a_group_could_never_hold_it(
    group: ScaleGroup, wanted: Demand, subject: str, nearest: str
) -> None:
    answer = fit(group, wanted)
    assert isinstance(answer, Misfit)
    assert (answer.subject, answer.nearest) == (subject, nearest)
    assert answer.hint


def test_a_slice_that_exists_may_be_named() -> None:
    answer = fit(CPU, demand("a", None, 1, eq("slice-id", "cpu-7")), [SliceId("cpu-7")])
    assert isinstance(answer, Fit)
    assert not answer.launchable


def names(groups: list[ScaleGroup], wanted: Demand) -> list[str]:
    found = fitting(groups, wanted, {})
    assert not isinstance(found, PendingReason)
    return [one.group.name for one in found]


def test_priority_decides_first() -> None:
    groups = [cpu_group("b", priority=2), cpu_group("a", priority=3), tpu_group("t", priority=1)]
    assert names(groups, demand()) == ["t", "b", "a"]


def test_then_accelerators_are_left_to_those_who_ask() -> None:
    assert names([tpu_group("a-tpu"), cpu_group("b-cpu")], demand()) == ["b-cpu", "a-tpu"]


def test_then_a_gang_takes_the_smallest_slice() -> None:
    groups = [cpu_group("large", vms=8), cpu_group("small", vms=4)]
    wanted = gang(group_by="slice-id", need=Resources(4000))
    assert names(groups, wanted) == ["small", "large"]


def test_the_nearest_group_explains_why_none_fits() -> None:
    reason = fitting([CPU, cpu_group("big", 16), TPU], demand("a", Resources(32_000)), {})
    assert isinstance(reason, PendingReason)
    assert (reason.code, reason.subject) == (PendingCode.NO_GROUP_FITS, "cpu")
    assert (reason.needed, reason.nearest) == ("32 cores", "16 cores per VM in scale group big")


def test_a_group_without_the_attribute_is_further_than_one_that_is_too_small() -> None:
    zone = eq("zone", "eu")
    reason = fitting([cpu_group("other", 64), CPU], demand("a", Resources(8000), 1, zone), {})
    assert isinstance(reason, PendingReason)
    assert reason.nearest == "4 cores per VM in scale group cpu"


def tolerant(*tolerations: Toleration, cores: int = 1) -> Demand:
    return replace(demand("a", Resources(1000 * cores)), tolerations=tolerations)


def test_all_taints_have_to_be_tolerated() -> None:
    answer = fit(TAINTED, tolerant(Toleration("gpu-only")))
    assert isinstance(answer, Misfit)
    assert answer.nearest == "scale group tainted, whose workers have the taint old"
    assert isinstance(fit(TAINTED, tolerant(Toleration("gpu-only"), Toleration("old"))), Fit)
    no = fit(TAINTED, tolerant(Toleration("gpu-only", "no"), Toleration("old")))
    assert isinstance(no, Misfit)


def test_a_taint_is_told_like_a_constraint_that_does_not_hold() -> None:
    """It is further away than a group that is too small, and no nearer than an unmet constraint."""
    reason = fitting([TAINTED, CPU], demand("a", Resources(8000)), {})
    assert isinstance(reason, PendingReason)
    assert reason.subject == "cpu"
    reason = fitting([TAINTED], tolerant(Toleration("old")), {})
    assert isinstance(reason, PendingReason)
    assert (reason.code, reason.subject) == (PendingCode.NO_GROUP_FITS, "gpu-only")
    both = fitting([TAINTED], replace(demand("a", None, 1, eq("zone", "eu"))), {})
    assert isinstance(both, PendingReason)
    assert both.subject == "zone"


def test_ports_are_told_only_if_nothing_rarer_is_missing() -> None:
    need = Resources(1000, 0, 0, FOUR_CHIPS.accelerators, ports=2)
    answer = fit(CPU, demand("a", need))
    assert isinstance(answer, Misfit)
    assert answer.subject == "tpu/v5litepod-16"
    assert isinstance(fit(replace(CPU, vm=Resources(4000, ports=2)), tolerant()), Fit)


def test_a_cluster_without_groups_says_so() -> None:
    reason = fitting([], demand(), {})
    assert isinstance(reason, PendingReason)
    assert reason.nearest == "none: there is no group"
