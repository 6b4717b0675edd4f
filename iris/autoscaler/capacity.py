"""Capacity that is on its way, as a plan spends it: each slice once, each place once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from iris.autoscaler.demand import Demand, SliceOccupancy
from iris.autoscaler.fit import vms_allowed
from iris.model.constraints import Constraint
from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.model.resources import Resources

_NOTHING = Resources()
# What room there is depends on these alone.
DemandKey = tuple[Resources, tuple[Constraint, ...], str]


def demand_key(demand: Demand) -> DemandKey:
    """Demands with the same key find the same room."""
    group_by = demand.gang.group_by if demand.gang is not None else ""
    return demand.resources, demand.constraints, group_by


@dataclass(slots=True, eq=False)
class Room:
    """What is still unspent on one slice.

    Attributes:
        slice_id: None while it has no name.
        free: By VM.
        seen: So many of its VMs have a worker. What is free there the scheduler has seen, and has
            left: it is of use only to a gang, which may have lacked the others.
    """

    group: ScaleGroup
    slice_id: SliceId | None
    free: list[Resources]
    seen: int = 0
    _allowed: dict[tuple[Constraint, ...], Sequence[int]] = field(default_factory=dict)

    @classmethod
    def of_new_slice(cls, group: ScaleGroup) -> "Room":
        """All of a slice that is being bought."""
        return cls(group, None, [group.vm] * group.vms_per_slice)

    @classmethod
    def of_slice(
        cls, group: ScaleGroup, slice_id: SliceId, occupancy: SliceOccupancy | None
    ) -> "Room":
        """What a slice that exists has to offer."""
        room = cls.of_new_slice(group)
        room.slice_id = slice_id
        if occupancy is not None:
            room.seen = min(occupancy.workers, group.vms_per_slice)
            if occupancy.attempts:
                room.free[: room.seen] = [_NOTHING] * room.seen
        return room

    def places(self, demand: Demand, limit: int) -> list[tuple[int, int]]:
        """(VM, how many tasks it takes), at most `limit` in all."""
        first = 0 if demand.gang is not None else self.seen
        allowed = self._allowed.get(demand.constraints)
        if allowed is None:
            allowed = vms_allowed(self.group, self.slice_id, demand.constraints)
            self._allowed[demand.constraints] = allowed
        found = []
        for vm in allowed:
            if vm >= first and limit:
                copies = demand.resources.copies_in(self.free[vm], limit)
                if copies:
                    found.append((vm, copies))
                    limit -= copies
        return found

    def spend(self, demand: Demand, limit: int) -> int:
        """Takes places for at most so many tasks; how many it were."""
        places = self.places(demand, limit)
        for vm, copies in places:
            self.free[vm] -= demand.resources * copies
        return count(places)


@dataclass(slots=True)
class Capacity:
    """The rooms of one scale group in the order in which they are spent.

    Room only shrinks and new slices come last, so those that had no room for a demand are not asked
    again by its like.
    """

    rooms: list[Room] = field(default_factory=list)
    _starts: dict[tuple[DemandKey, int], int] = field(default_factory=dict)

    def add(self, room: Room) -> None:
        """A further slice."""
        self.rooms.append(room)

    def first_with_room(self, demand: Demand, tasks: int) -> Room | None:
        """The first slice that holds at least `tasks` tasks of the demand."""
        key = (demand_key(demand), tasks)
        at = self._starts.get(key, 0)
        while at < len(self.rooms) and count(self.rooms[at].places(demand, tasks)) < tasks:
            at += 1
        self._starts[key] = at
        return self.rooms[at] if at < len(self.rooms) else None


def count(places: Sequence[tuple[int, int]]) -> int:
    """How many tasks the places hold."""
    return sum(copies for _, copies in places)
