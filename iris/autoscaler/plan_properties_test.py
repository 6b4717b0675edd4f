"""What holds for every fleet and every demand: bounds, no more than is needed, and an end."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from iris.autoscaler.demand import Demand, FleetView, ScalingAction, ScalingReason, SliceOccupancy
from iris.autoscaler.fit import fitting
from iris.autoscaler.groups import NO_BACKOFF, Backoff, Exhausted, GroupState, SliceState
from iris.autoscaler.pace import NO_PACE
from iris.autoscaler.packing import Grant, Packing
from iris.autoscaler.plan import NO_PACKING, Plan, plan
from iris.autoscaler.scaling_cases import (
    FOUR_CHIPS,
    NOW,
    SETTINGS,
    cpu_group,
    demand,
    gang,
    launching_slice,
    slice_of,
    tpu_group,
)
from iris.model.fleet import ScaleGroup, VmState
from iris.model.ids import JobId, SliceId
from iris.model.pending import PendingReason
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.taints import Toleration

COUNTS = st.integers(0, 3)
GROUPS = st.builds(
    lambda least, extra, large: (
        cpu_group("cpu", most=3, least=least),
        cpu_group("pair", 2, vms=2, most=extra, priority=50, attributes={"taint/old": ""}),
        tpu_group("tpu", most=large),
    ),
    COUNTS,
    COUNTS,
    COUNTS,
)
TOLERATIONS = st.sampled_from(((), (), (Toleration("old"),), (Toleration("new"),)))
BANDS = st.sampled_from(PriorityBand)
ANY_DEMAND = st.one_of(
    st.builds(
        lambda tasks, m: demand("s", Resources(m), tasks),
        st.integers(1, 9),
        st.sampled_from((500, 2000, 3000, 9000)),
    ),
    st.builds(lambda tasks: demand("t", FOUR_CHIPS, tasks), st.integers(1, 9)),
    st.builds(
        lambda tasks, by: gang("g", tasks, by, Resources(900)),
        st.integers(1, 9),
        st.sampled_from(("slice-id", "scale-group", "tpu-name")),
    ),
)


def in_order(
    found: list[tuple[Demand, tuple[Toleration, ...], PriorityBand]],
) -> tuple[Demand, ...]:
    """Band by band, as a view has them."""
    return tuple(
        replace(one, job_id=JobId(f"/u/j{i}"), tolerations=tolerations, band=band)
        for i, (one, tolerations, band) in enumerate(sorted(found, key=lambda it: it[2].rank))
    )


ASKED_AGAIN, REFUSED = Exhausted("none", NOW), Exhausted("none", NOW + timedelta(seconds=9))
DEMANDS = st.lists(st.tuples(ANY_DEMAND, TOLERATIONS, BANDS), max_size=8).map(in_order)


@st.composite
def states(draw: st.DrawFn) -> tuple[FleetView, tuple[GroupState, ...]]:
    """Any mixture of slices that launch, work, idle, fail and leave."""
    found, seen = [], {}
    for group in draw(GROUPS):
        slices = []
        for number in range(draw(COUNTS)):
            kind = draw(st.sampled_from(("launching", "busy", "idle", "failed", "half")))
            slice_id = SliceId(f"{group.name}-{number}")
            if kind in ("launching", "half"):
                slices.append(launching_slice(group, number))
            else:
                state = VmState.FAILED if kind == "failed" else VmState.READY
                slices.append(slice_of(group, number, state))
            if kind == "busy":
                seen[slice_id] = SliceOccupancy(group.vms_per_slice, 1, None)
            elif kind == "idle":
                since = NOW - timedelta(seconds=draw(st.sampled_from((0, 59, 60, 61))))
                seen[slice_id] = SliceOccupancy(group.vms_per_slice, 0, since)
            elif kind == "half":
                seen[slice_id] = SliceOccupancy(group.vms_per_slice // 2, 0, NOW)
        backoff = draw(
            st.sampled_from(
                (
                    NO_BACKOFF,
                    NO_BACKOFF,
                    Backoff(2, NOW, "x"),
                    Backoff(1, NOW + timedelta(seconds=9), "y"),
                )
            )
        )
        found.append(
            GroupState(
                replace(group, buffer_slices=draw(st.sampled_from((0, 0, 1, 2)))),
                tuple(slices),
                draw(st.integers(0, 1)),
                draw(st.integers(0, 1)),
                backoff,
                exhausted=draw(st.sampled_from((None, None, ASKED_AGAIN, REFUSED))),
                churn=draw(st.sampled_from(("", "", "all were lost"))),
                pace=draw(st.sampled_from((NO_PACE, NO_PACE, NO_PACE.after(999, NOW, SETTINGS)))),
            )
        )
    return FleetView(draw(DEMANDS), seen), tuple(found)


@given(states())
def test_no_group_exceeds_its_bounds(given_: tuple[FleetView, tuple[GroupState, ...]]) -> None:
    view, groups = given_
    made = plan(view, groups, SETTINGS, NOW)
    for state in groups:
        name, group = state.group.name, state.group
        ups = purchases(made).count(name)
        downs = [
            d
            for d in made.decisions
            if d.action is ScalingAction.SCALE_DOWN and d.scale_group == name
        ]
        idle_downs = sum(d.reason.name in ("IDLE", "ABOVE_MAX_SLICES") for d in downs)
        failed = len(downs) - idle_downs
        there = [one for one in state.slices if not one.slice.state.is_gone]
        exist = len(there) + state.creating + state.leaving
        assert ups == 0 or exist + ups <= group.max_slices
        left = len(state.slices) - failed + state.creating + ups
        assert idle_downs == 0 or left - idle_downs >= group.min_slices
        assert not (state.backoff.is_resting(NOW) and ups)
        assert ups <= state.pace.allowed(NOW, SETTINGS)
        if state.exhausted is not None:
            assert not (state.exhausted is REFUSED and ups)
            assert ups <= max(0, 1 - state.creating)


@given(states())
def test_spare_slices_stay_and_are_filled_up(
    given_: tuple[FleetView, tuple[GroupState, ...]],
) -> None:
    """Either the buffer is full afterwards, or nothing more could be bought; and nothing of it goes
    back.
    """
    view, groups = given_
    made = plan(view, groups, SETTINGS, NOW)
    for before, state in zip(groups, carried_out(groups, made), strict=True):
        group = state.group
        used = {place.room for grant in grants_in(made, group.name) for place in grant.places}
        there = [one for one in state.slices if one.slice.slice_id not in used]
        ready = [one for one in there if is_ready(view, one)]
        coming = sum(not one.booted and not is_used(view, one) for one in there)
        coming += sum(ref not in used for ref in range(state.creating))
        if len(ready) + coming < group.buffer_slices:
            exist = len(state.slices) + state.creating + state.leaving
            closed = before.exhausted or before.backoff.failures
            paced = purchases(made).count(group.name) >= before.pace.allowed(NOW, SETTINGS)
            assert exist >= group.max_slices or closed or paced


def grants_in(made: Plan, name: str) -> list[Grant]:
    return [one for found in made.packing.grants.values() for one in found if one.group == name]


def is_used(view: FleetView, one: SliceState) -> bool:
    seen = view.slices.get(one.slice.slice_id)
    return seen is not None and seen.attempts > 0


def is_ready(view: FleetView, one: SliceState) -> bool:
    return one.booted and one.incomplete_since is None and not is_used(view, one)


@given(states())
def test_every_demand_is_answered(given_: tuple[FleetView, tuple[GroupState, ...]]) -> None:
    view, groups = given_
    made = plan(view, groups, SETTINGS, NOW)
    held = {one.job_id for one in made.decisions if one.action is ScalingAction.HOLD}
    for one in view.demands:
        assert one.job_id in made.outlook
        if one.job_id not in held:
            assert made.outlook[one.job_id].code.name == "LAUNCHING_CAPACITY"
    assert len(held) == sum(one.action is ScalingAction.HOLD for one in made.decisions)


@given(states())
def test_a_plan_is_the_same_each_time_and_names_a_later_moment(
    given_: tuple[FleetView, tuple[GroupState, ...]],
) -> None:
    view, groups = given_
    made = plan(view, groups, SETTINGS, NOW)
    assert made == plan(view, groups, SETTINGS, NOW)
    assert made.wake_at is None or made.wake_at > NOW


@given(states())
def test_what_a_plan_buys_is_enough_for_the_next(
    given_: tuple[FleetView, tuple[GroupState, ...]],
) -> None:
    """Once its slices are being created, the same demand buys nothing more: no slice is bought
    twice for it.
    """
    view, groups = given_
    first = plan(view, groups, SETTINGS, NOW)
    again = plan(view, carried_out(groups, first), SETTINGS, NOW, first.packing)
    assert not purchases(again)


def purchases(made: Plan) -> list[str]:
    return [one.scale_group for one in made.decisions if one.action is ScalingAction.SCALE_UP]


def carried_out(groups: Sequence[GroupState], made: Plan) -> tuple[GroupState, ...]:
    """What was bought is being created, what goes is going."""
    gone = {one.slice_id for one in made.decisions if one.action is ScalingAction.SCALE_DOWN}
    return tuple(
        replace(
            state,
            slices=tuple(one for one in state.slices if one.slice.slice_id not in gone),
            creating=state.creating + purchases(made).count(state.group.name),
            leaving=state.leaving
            + sum(
                one.slice.slice_id in gone and not one.slice.state.is_gone for one in state.slices
            ),
            backoff=made.backoffs.get(state.group.name, state.backoff),
            pace=state.pace.after(purchases(made).count(state.group.name), NOW, SETTINGS),
        )
        for state in groups
    )


def named(state: GroupState, count: int) -> GroupState:
    """So many of the slices that are being created have a name now."""
    count = min(count, state.creating)
    new = tuple(launching_slice(state.group, 100 + number) for number in range(count))
    return replace(state, slices=state.slices + new, creating=state.creating - count)


@st.composite
def fewer(draw: st.DrawFn, demands: tuple[Demand, ...]) -> tuple[Demand, ...]:
    """Some of the work has found a place elsewhere: gangs are gone, of others there are fewer
    tasks, the heads of classes are other jobs, and within a band others go first.
    """
    left = []
    for number, one in enumerate(demands):
        tasks = draw(st.sampled_from((0, one.tasks) if one.gang else range(one.tasks + 1)))
        head = JobId(f"/u/next{number}") if draw(st.booleans()) else one.job_id
        if tasks:
            left.append(replace(one, job_id=head, tasks=tasks))
    return tuple(sorted(draw(st.permutations(left)), key=lambda one: one.band.rank))


@given(states(), st.data())
def test_what_was_bought_is_counted_once_whoever_is_served_first(
    given_: tuple[FleetView, tuple[GroupState, ...]], data: st.DataObject
) -> None:
    """Plan after plan, while demand only shrinks and slices only get their names, nothing more is
    bought, as long as there was room for all.
    """
    view, groups = given_
    made = plan(view, groups, SETTINGS, NOW)
    if any(one.action is ScalingAction.HOLD for one in made.decisions):
        return
    for _ in range(3):
        groups = tuple(
            named(state, data.draw(st.integers(0, 2))) for state in carried_out(groups, made)
        )
        view = replace(view, demands=data.draw(fewer(view.demands)))
        made = plan(view, groups, SETTINGS, NOW, made.packing)
        # A buffer that could not be filled up at once goes on growing.
        assert not [one for one in made.decisions if one.reason.is_for_demand]
        assert not [one for one in made.decisions if one.action is ScalingAction.HOLD]


@given(states())
def test_nothing_is_bought_for_those_who_do_not_tolerate_its_taint(
    given_: tuple[FleetView, tuple[GroupState, ...]],
) -> None:
    view, groups = given_
    made = plan(view, groups, SETTINGS, NOW)
    tolerates = {one.job_id: Toleration("old") in one.tolerations for one in view.demands}
    for one in made.decisions:
        if one.reason is ScalingReason.DEMAND and one.scale_group == "pair":
            assert one.job_id is not None
            assert tolerates[one.job_id]


@given(states())
def test_an_earlier_band_is_served_as_if_there_were_no_later_one(
    given_: tuple[FleetView, tuple[GroupState, ...]],
) -> None:
    view, groups = given_
    first = plan(view, groups, SETTINGS, NOW)
    earlier = tuple(one for one in view.demands if one.band is not PriorityBand.BATCH)
    for packing in (NO_PACKING, first.packing):
        made = plan(view, groups, SETTINGS, NOW, packing)
        alone = plan(replace(view, demands=earlier), groups, SETTINGS, NOW, packing)
        for one in earlier:
            assert made.outlook[one.job_id] == alone.outlook[one.job_id]


@dataclass
class World:
    """A fleet that follows its plans: what is bought boots in one step, what ran ends in one step."""

    groups: tuple[ScaleGroup, ...]
    now: datetime = NOW
    slices: dict[str, dict[int, datetime]] = field(default_factory=dict)
    launching: dict[str, int] = field(default_factory=dict)
    packing: Packing = NO_PACKING
    number: int = 0

    def step(self, demands: tuple[Demand, ...]) -> int:
        """One plan, carried out; how many slices it bought."""
        states, seen = [], {}
        for group in self.groups:
            there = self.slices.setdefault(group.name, {})
            states.append(
                GroupState(
                    group,
                    tuple(slice_of(group, number) for number in there),
                    self.launching.get(group.name, 0),
                )
            )
            for number, since in there.items():
                seen[SliceId(f"{group.name}-{number}")] = SliceOccupancy(
                    group.vms_per_slice, 0, since
                )
        made = plan(FleetView(demands, seen), states, SETTINGS, self.now, self.packing)
        self.packing = made.packing
        bought = 0
        for one in made.decisions:
            if one.action is ScalingAction.SCALE_UP:
                bought += 1
                self.launching[one.scale_group] = self.launching.get(one.scale_group, 0) + 1
            elif one.action is ScalingAction.SCALE_DOWN:
                assert one.slice_id is not None
                del self.slices[one.scale_group][int(one.slice_id.rpartition("-")[2])]
        return bought

    def boot(self) -> None:
        """All that was bought is there, and idle."""
        for name, count in self.launching.items():
            for _ in range(count):
                self.number += 1
                self.slices[name][self.number] = self.now
        self.launching.clear()


@given(GROUPS, DEMANDS)
def test_it_comes_to_rest_at_min_slices(
    groups: tuple[ScaleGroup, ...], demands: tuple[Demand, ...]
) -> None:
    world = World(tuple(group for group in groups if group.max_slices >= group.min_slices))
    world.step(demands)
    assert world.step(demands) == 0
    world.boot()
    assert world.step(()) == 0
    world.now += SETTINGS.idle_timeout
    world.step(())
    assert {name: len(there) for name, there in world.slices.items()} == {
        group.name: group.min_slices for group in world.groups
    }
    assert world.step(()) == 0


@given(GROUPS, st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_single_tasks_never_buy_an_empty_slice(
    groups: tuple[ScaleGroup, ...], counts: list[int]
) -> None:
    """With equal tasks, one slice less would not do."""
    demands = tuple(demand(f"j{i}", Resources(900), count) for i, count in enumerate(counts))
    if isinstance(fitting(groups, demands[0], {}), PendingReason):
        return
    empty = tuple(GroupState(group) for group in groups if not group.min_slices)
    made = plan(FleetView(demands), empty, SETTINGS, NOW)
    by_name = {state.group.name: state.group for state in empty}
    bought = [by_name[name] for name in purchases(made)]
    room = [Resources(900).copies_in(group.vm, 99) * group.vms_per_slice for group in bought]
    assert not bought or sum(room) - min(room) < sum(counts)
