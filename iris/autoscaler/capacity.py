"""Capacity that is on its way, or stands idle, as a plan spends it: each slice once, each place
once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import le

from iris.autoscaler.demand import SliceOccupancy
from iris.autoscaler.fit import Fit
from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.model.resources import Resources

_NOTHING = Resources()
# A slice; or, while it has no name, its place among those of its group that have none.
RoomRef = SliceId | int
_Bound = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Room:
    """What is still unspent on one slice.

    Attributes:
        ref: What it is known by until the next plan.
        slice_id: None while it has no name.
        free: By VM.
        seen: So many of its VMs have a worker. What is free there the scheduler has seen, and has
            left: it is of use only to a gang, which may have lacked the others.
        in_use: Something runs or is packed there, or it is closed.
        number: Its place in its Capacity.
    """

    ref: RoomRef
    slice_id: SliceId | None
    free: list[Resources]
    seen: int = 0
    in_use: bool = False
    number: int = 0

    @classmethod
    def of_new_slice(cls, group: ScaleGroup, ref: RoomRef) -> "Room":
        """All of a slice that is being bought."""
        return cls(ref, None, [group.vm] * group.vms_per_slice)

    @classmethod
    def of_slice(cls, group: ScaleGroup, slice_id: SliceId, occupancy: SliceOccupancy) -> "Room":
        """What a slice that exists has to offer."""
        free = [group.vm] * group.vms_per_slice
        seen = min(occupancy.workers, group.vms_per_slice)
        in_use = bool(occupancy.attempts or occupancy.closed)
        if in_use:
            free[:seen] = [_NOTHING] * seen
        return cls(slice_id, slice_id, free, seen, in_use)

    def places(self, fit: Fit, limit: int) -> list[tuple[int, int]]:
        """(VM, how many tasks it takes), at most `limit` in all."""
        first, found = self._first(fit), []
        for vm in fit.vms(self.slice_id):
            if vm >= first and limit:
                copies = fit.demand.resources.copies_in(self.free[vm], limit)
                if copies:
                    found.append((vm, copies))
                    limit -= copies
        return found

    def copies_on(self, fit: Fit, vm: int, limit: int) -> int:
        """How many tasks one VM takes, at most `limit`."""
        if vm < self._first(fit) or not fit.allows(vm, self.slice_id):
            return 0
        return fit.demand.resources.copies_in(self.free[vm], limit)

    def _first(self, fit: Fit) -> int:
        return 0 if fit.demand.gang is not None else self.seen


class Capacity:
    """The rooms of one scale group in the order in which they are spent.

    A tree over the rooms says of each of its parts how much a room in it has at most. What cannot
    hold a demand is passed over as a whole, so the cost of a search grows with the logarithm of the
    number of rooms. And as room only shrinks and new rooms come last, those that had none for a
    demand are not asked again by its like.
    """

    def __init__(self, group: ScaleGroup) -> None:
        self.rooms: list[Room] = []
        self._group = group
        self._kinds = tuple(kind for kind, _ in group.vm.accelerators)
        self._starts: dict[Fit, int] = {}
        # Node 1 is the root, 2n and 2n + 1 are below n; the last half are the rooms. Made at the
        # first search: most plans need none.
        self._tree: list[_Bound] = []
        self._whole = self._measure(Room.of_new_slice(group, 0))

    def add(self, room: Room) -> None:
        """A further slice."""
        room.number = len(self.rooms)
        self.rooms.append(room)
        if len(self.rooms) > len(self._tree) // 2:
            self._tree = []
        else:
            self._refresh(room)

    def first_with_room(self, fit: Fit, tasks: int) -> Room | None:
        """The first slice that holds at least `tasks` tasks; `tasks` is the same for all that have
        the same Fit.
        """
        for room in self._candidates(fit, tasks, self._starts.get(fit, 0)):
            if count(room.places(fit, tasks)) >= tasks:
                self._starts[fit] = room.number
                return room
        self._starts[fit] = len(self.rooms)
        return None

    def with_room(self, fit: Fit) -> Iterator[Room]:
        """The slices that hold at least one task. The one that is looked at may be spent."""
        return self._candidates(fit, 1, 0)

    def spend(self, room: Room, fit: Fit, places: Sequence[tuple[int, int]]) -> None:
        """Takes places of which the room has said that it has them."""
        for vm, copies in places:
            room.free[vm] -= fit.demand.resources * copies
            room.in_use = True
        if places and self._tree:
            self._refresh(room)

    # --- the tree -------------------------------------------------------------------------------

    def _candidates(self, fit: Fit, tasks: int, start: int) -> Iterator[Room]:
        """Rooms from `start` on that may have room for so many tasks; whether they do depends on
        how it is spread over their VMs.
        """
        if start >= len(self.rooms):
            return
        if not self._tree:
            self._build()
        need, size = self._needed(fit, tasks), len(self._tree) // 2
        node = start + size
        while node:
            if all(map(le, need, self._tree[node])):
                if node < size:
                    node *= 2
                    continue
                yield self.rooms[node - size]
            while node & 1:
                node >>= 1
            node = node + 1 if node else 0

    def _build(self) -> None:
        size = 1 << len(self.rooms).bit_length()
        empty = (-1,) * len(self._whole)
        leaves = [self._bound(room) for room in self.rooms]
        self._tree = [empty] * size + leaves + [empty] * (size - len(leaves))
        for node in range(size - 1, 0, -1):
            self._tree[node] = self._above(node)

    def _refresh(self, room: Room) -> None:
        node = room.number + len(self._tree) // 2
        self._tree[node] = self._bound(room)
        while node > 1:
            node >>= 1
            above = self._above(node)
            if above == self._tree[node]:
                return
            self._tree[node] = above

    def _above(self, node: int) -> _Bound:
        left, right = self._tree[2 * node], self._tree[2 * node + 1]
        return left if left is right else tuple(map(max, left, right))

    def _bound(self, room: Room) -> _Bound:
        whole = not room.seen and all(free is self._group.vm for free in room.free)
        return self._whole if whole else self._measure(room)

    def _measure(self, room: Room) -> _Bound:
        """The most that one VM has for a single task, that one has for a member of a gang, and all
        together: amount by amount.
        """
        vms = [self._amounts(free) for free in room.free]
        none = self._amounts(_NOTHING)
        unseen = map(max, none, none, *vms[room.seen :])
        return (*unseen, *map(max, none, none, *vms), *map(sum, zip(*vms, strict=True)))

    def _needed(self, fit: Fit, tasks: int) -> _Bound:
        """What a room must have at least, in the order of `_measure`."""
        need = self._amounts(fit.demand.resources)
        if fit.demand.gang is None:
            return need
        return ((0,) * len(need)) + need + tuple(amount * tasks for amount in need)

    def _amounts(self, resources: Resources) -> _Bound:
        counts = dict(resources.accelerators)
        return (
            resources.cpu_millis,
            resources.memory_bytes,
            resources.disk_bytes,
            resources.ports,
            *(counts.get(kind, 0) for kind in self._kinds),
        )


def count(places: Sequence[tuple[int, int]]) -> int:
    """How many tasks the places hold."""
    return sum(copies for _, copies in places)
