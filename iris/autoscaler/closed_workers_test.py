"""Workers that are there and take no work, because they are not well or drained: they are no
capacity, and nothing is done to them because of it.
"""

from dataclasses import replace

from iris.autoscaler.demand import FleetView, ScalingAction, SliceOccupancy
from iris.autoscaler.groups import GroupState
from iris.autoscaler.plan import Plan, plan
from iris.autoscaler.scaling_cases import (
    NOW,
    SETTINGS,
    busy,
    cpu_group,
    demand,
    gang,
    idle,
    launching_slice,
    seconds,
    slice_of,
    tpu_group,
    view,
)

CPU, TPU = cpu_group(), tpu_group()
LONG_AGO = NOW - seconds(3600)


def closed(seen: SliceOccupancy, workers: int = 1) -> SliceOccupancy:
    return replace(seen, closed=workers)


def run(seen: FleetView, *groups: GroupState) -> Plan:
    return plan(seen, groups, SETTINGS, NOW)


def decisions(made: Plan) -> list[tuple[ScalingAction, str]]:
    return [(one.action, str(one.slice_id or one.scale_group)) for one in made.decisions]


def test_demand_that_they_would_hold_is_bought_for() -> None:
    state = GroupState(CPU, (slice_of(CPU),))
    made = run(view(demand(), cpu_1=closed(idle())), state)
    assert decisions(made) == [(ScalingAction.SCALE_UP, "cpu")]


def test_a_gang_over_several_slices_does_not_count_on_them() -> None:
    wanted = gang(tasks=12, group_by="scale-group")
    state = GroupState(TPU, (slice_of(TPU, 1), slice_of(TPU, 2)))
    both = view(wanted, tpu_1=idle(4), tpu_2=idle(4))
    one = view(wanted, tpu_1=idle(4), tpu_2=closed(idle(4)))
    assert len(run(both, state).decisions) == 1
    assert len(run(one, state).decisions) == 2


def test_nor_does_one_that_would_wait_for_the_rest_of_a_slice() -> None:
    state = GroupState(TPU, (launching_slice(TPU),))
    assert not run(view(gang(), tpu_1=idle(2)), state).decisions
    made = run(view(gang(), tpu_1=closed(idle(2))), state)
    assert decisions(made) == [(ScalingAction.SCALE_UP, "tpu")]


def test_a_slice_is_not_given_up_for_it_while_it_has_work() -> None:
    state = GroupState(TPU, (slice_of(TPU),))
    assert not run(view(tpu_1=closed(busy(4), 4)), state).decisions


def test_but_it_goes_back_like_any_other_once_it_is_idle() -> None:
    state = GroupState(CPU, (slice_of(CPU),))
    assert not run(view(cpu_1=closed(idle())), state).decisions
    made = run(view(cpu_1=closed(idle(since=LONG_AGO))), state)
    assert decisions(made) == [(ScalingAction.SCALE_DOWN, "cpu-1")]
