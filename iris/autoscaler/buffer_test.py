"""Spare slices are kept ready, within max_slices."""

from dataclasses import replace

from iris.autoscaler.demand import FleetView, ScalingAction, ScalingReason, SliceOccupancy
from iris.autoscaler.groups import Backoff, GroupState
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
from iris.model.fleet import ScaleGroup

LONG_AGO = NOW - seconds(3600)
CPU = replace(cpu_group(most=5), buffer_slices=2)


def run(seen: FleetView, state: GroupState) -> Plan:
    return plan(seen, [state], SETTINGS, NOW)


def reasons(made: Plan) -> list[str]:
    return [one.reason.name for one in made.decisions if one.action is ScalingAction.SCALE_UP]


def returned(made: Plan) -> list[str]:
    return [str(one.slice_id) for one in made.decisions if one.action is ScalingAction.SCALE_DOWN]


def up(group: ScaleGroup, *numbers: int) -> GroupState:
    return GroupState(group, tuple(slice_of(group, number) for number in numbers))


def test_it_is_filled_without_any_demand() -> None:
    made = run(view(), GroupState(CPU))
    assert reasons(made) == ["BUFFER", "BUFFER"]
    assert made.decisions[0].summary == "cpu has 0 of 2 spare slices."


def test_what_is_on_its_way_or_ready_counts() -> None:
    assert reasons(run(view(), GroupState(CPU, creating=1))) == ["BUFFER"]
    assert reasons(run(view(), GroupState(CPU, (launching_slice(CPU),), creating=1))) == []
    assert reasons(run(view(cpu_1=idle(), cpu_2=idle()), up(CPU, 1, 2))) == []


def test_what_is_in_use_does_not() -> None:
    made = run(view(cpu_1=busy(), cpu_2=idle()), up(CPU, 1, 2))
    assert reasons(made) == ["BUFFER"]


def test_what_is_closed_or_lacks_workers_does_not() -> None:
    closed = SliceOccupancy(1, 0, NOW, closed=1)
    assert reasons(run(view(cpu_1=closed, cpu_2=idle()), up(CPU, 1, 2))) == ["BUFFER"]
    state = up(CPU, 1, 2)
    incomplete = replace(state.slices[0], incomplete_since=NOW)
    state = replace(state, slices=(incomplete, state.slices[1]))
    assert reasons(run(view(cpu_2=idle()), state)) == ["BUFFER"]


def test_demand_is_served_first_and_takes_what_was_coming() -> None:
    state = GroupState(CPU, (launching_slice(CPU, 1), launching_slice(CPU, 2)))
    made = run(view(demand(tasks=4)), state)
    assert reasons(made) == ["BUFFER"]
    made = run(view(demand(tasks=20)), GroupState(CPU))
    assert reasons(made) == ["DEMAND"] * 5


def test_a_gang_that_takes_idle_slices_takes_them_from_the_buffer() -> None:
    group = replace(tpu_group(most=5), buffer_slices=2)
    wanted = gang(tasks=12, group_by="scale-group")
    made = run(view(wanted, tpu_1=idle(4), tpu_2=idle(4)), up(group, 1, 2))
    assert sorted(reasons(made)) == ["BUFFER", "BUFFER", "DEMAND"]


def test_it_does_not_exceed_max_slices() -> None:
    state = up(CPU, 1, 2, 3, 4)
    seen = view(cpu_1=busy(), cpu_2=busy(), cpu_3=busy(), cpu_4=busy())
    assert reasons(run(seen, state)) == ["BUFFER"]


def test_a_group_that_rests_fills_nothing() -> None:
    until = NOW + seconds(20)
    made = run(view(), GroupState(CPU, backoff=Backoff(1, until, "no stock")))
    assert (reasons(made), made.wake_at) == ([], until)


def test_idle_slices_go_back_down_to_it() -> None:
    seen = view(
        cpu_1=idle(since=NOW - seconds(70)),
        cpu_2=idle(since=LONG_AGO),
        cpu_3=idle(since=NOW - seconds(80)),
    )
    made = run(seen, up(CPU, 1, 2, 3))
    assert (returned(made), reasons(made)) == (["cpu-2"], [])
    assert made.wake_at is None


def test_a_slice_on_its_way_does_not_send_the_buffer_home_twice() -> None:
    state = replace(up(CPU, 1, 2), creating=1)
    made = run(view(cpu_1=idle(since=LONG_AGO), cpu_2=idle(since=LONG_AGO)), state)
    assert len(returned(made)) == 1


def test_more_than_max_slices_go_back_whatever_the_buffer() -> None:
    group = replace(CPU, max_slices=1)
    made = run(view(cpu_1=idle(), cpu_2=idle()), up(group, 1, 2))
    assert [one.reason for one in made.decisions] == [ScalingReason.ABOVE_MAX_SLICES]


def test_without_one_nothing_is_kept() -> None:
    group = replace(CPU, buffer_slices=0)
    made = run(view(cpu_1=idle(since=LONG_AGO)), up(group, 1))
    assert (returned(made), reasons(made)) == (["cpu-1"], [])
