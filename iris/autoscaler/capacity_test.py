"""A search through the rooms of a group finds what a look at each of them would."""

from hypothesis import given
from hypothesis import strategies as st

from iris.autoscaler.capacity import Capacity, Room, count
from iris.autoscaler.demand import Demand, SliceOccupancy
from iris.autoscaler.fit import Fit, fit
from iris.autoscaler.scaling_cases import cpu_group, demand, gang, tpu_group
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.model.resources import Resources

CHIPS = tpu_group(vms=2)
GROUPS = st.sampled_from((cpu_group(vms=1), cpu_group(vms=3), CHIPS))
PINNED = Constraint("slice-id", ConstraintOp.NE, ("s-1",))
NEEDS = st.builds(
    Resources,
    st.sampled_from((0, 300, 1000, 4000)),
    accelerators=st.sampled_from(((), (("tpu/v5litepod-16", 3),))),
)
DEMANDS = st.one_of(
    st.builds(lambda need: demand("a", need), NEEDS),
    st.builds(lambda need: demand("a", need, 1, PINNED), NEEDS),
    st.builds(lambda need, tasks: gang("g", tasks, "slice-id", need), NEEDS, st.integers(1, 6)),
)
OCCUPANCIES = st.builds(SliceOccupancy, st.integers(0, 3), st.integers(0, 1), st.none())


def fits_of(group: ScaleGroup, demands: list[Demand]) -> list[Fit]:
    answers = [fit(group, one) for one in demands]
    return [one for one in answers if isinstance(one, Fit)]


@given(
    GROUPS,
    st.lists(OCCUPANCIES, max_size=9),
    st.lists(DEMANDS, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40),
)
def test_the_first_room_is_found(
    group: ScaleGroup,
    slices: list[SliceOccupancy],
    demands: list[Demand],
    steps: list[tuple[int, bool]],
) -> None:
    capacity = Capacity(group)
    for number, seen in enumerate(slices):
        capacity.add(Room.of_slice(group, SliceId(f"s-{number}"), seen))
    fits = fits_of(group, demands)
    for which, bought in steps if fits else ():
        if bought:
            capacity.add(Room.of_new_slice(group, len(capacity.rooms)))
        one = fits[which % len(fits)]
        tasks = one.demand.tasks
        there = [room for room in capacity.rooms if count(room.places(one, tasks)) >= tasks]
        some = [room for room in capacity.rooms if room.places(one, 1)]
        assert [room for room in capacity.with_room(one) if room.places(one, 1)] == some
        found = capacity.first_with_room(one, tasks)
        assert found is (there[0] if there else None)
        if found is not None:
            capacity.spend(found, one, found.places(one, tasks))


def test_rooms_without_room_are_not_looked_at() -> None:
    group = cpu_group()
    capacity = Capacity(group)
    for number in range(64):
        capacity.add(Room.of_new_slice(group, number))
    (large, small) = fits_of(group, [demand("a", Resources(3000)), demand("b", Resources(2000))])
    for _ in range(40):
        room = capacity.first_with_room(large, 1)
        assert room is not None
        capacity.spend(room, large, room.places(large, 1))
    assert [room.number for room in capacity.with_room(small)] == list(range(40, 64))
