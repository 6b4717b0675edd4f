"""Gangs: all tasks on workers that share one value of an attribute, placed together or not at all.

Which group: of those that hold all members, the one whose workers miss the fewest of the gang's
preferences, then the one with the fewest kinds of accelerators that the gang does not ask for, then
the one with the fewest places left over. Where in it: on a TPU slice, whose workers carry
`tpu-worker-id`, members are spread over the workers in order of that id, so task i runs on worker i
whenever there is a worker for each task; with more tasks than workers each worker takes
neighbours. In any other group members are packed by best fit.

What happens to a gang that has to wait is decided in iris.scheduler.reservations.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from iris.model.fleet import ATTRIBUTE_TPU_WORKER_ID
from iris.model.ids import WorkerId
from iris.model.resources import Resources
from iris.scheduler.pool import Pool, accelerator_kinds
from iris.scheduler.workers import WorkerTable, free_key

_NO_LIMIT = 1 << 40
# How little a group suits a gang: preferences missed by the worst of its workers, and kinds of
# accelerators that its workers have and the members do not ask for.
_Rank = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Group:
    """Workers that share one value of an attribute.

    Attributes:
        capacity: How many members it holds when nothing else runs there.
        rank: Lower is better.
    """

    value: str
    members: tuple[int, ...]
    capacity: int
    rank: _Rank


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The group a gang waits for, and how many of its members it had room for."""

    group: Group
    room: int


class GangIndex:
    """The groups of one pool, for gangs with one `group_by` whose members all need the same."""

    def __init__(self, table: WorkerTable, pool: Pool, group_by: str, need: Resources) -> None:
        self._table = table
        self._need = need
        self._seen = len(table.changes)
        members: dict[str, list[int]] = {}
        for position in pool.members:
            value = table.views[position].attributes.get(group_by)
            if value is not None:
                members.setdefault(value, []).append(position)
        self.groups = [self._group(pool, value, some) for value, some in members.items()]
        self.at_value = {group.value: at for at, group in enumerate(self.groups)}
        self._group_of = {p: at for at, group in enumerate(self.groups) for p in group.members}
        self._room = [self._room_in(group) for group in self.groups]
        # By rank, then places free: the first with enough places is the tightest.
        self._by_room: dict[_Rank, list[tuple[int, int]]] = {}
        for at, group in enumerate(self.groups):
            self._by_room.setdefault(group.rank, []).append((self._room[at], at))
        for entries in self._by_room.values():
            entries.sort()
        self._largest = max(
            range(len(self.groups)), key=lambda at: (self.groups[at].capacity, -at), default=0
        )

    def place(self, tasks: int, avoid: frozenset[WorkerId]) -> list[int] | None:
        """A worker for each member, in order, on the tightest group; None if no group holds all.

        Workers to be avoided are used only if no group does without them.
        """
        self.catch_up()
        for at in self._with_room(tasks):
            places = self._places(self.groups[at].members, avoid)
            if sum(copies for _, copies in places) >= tasks:
                return self._spread_or_pack(places, tasks)
        return self.place(tasks, frozenset()) if avoid else None

    def nearest(self, tasks: int) -> Shortfall | None:
        """The group to wait for: the freest of those that can ever hold all members and in which no
        other gang holds room; without such a one the freest, and if none is large enough the
        largest. None if there is no group at all.
        """
        self.catch_up()
        if not self.groups:
            return None
        largest = self.groups[self._largest]
        if largest.capacity < tasks:
            return Shortfall(largest, self._room[self._largest])
        taken: Shortfall | None = None
        for room, at in heapq.merge(*map(reversed, self._by_room.values()), reverse=True):
            group = self.groups[at]
            if group.capacity < tasks:
                continue
            if not any(position in self._table.holds for position in group.members):
                return Shortfall(group, room)
            taken = taken or Shortfall(group, room)
        return taken

    def shortfall_of(self, value: str, tasks: int) -> Shortfall | None:
        """The group with that value, if it still is one that can ever hold all members."""
        at = self.at_value.get(value)
        if at is None or self.groups[at].capacity < tasks:
            return None
        self.catch_up()
        return Shortfall(self.groups[at], self._room[at])

    def group_at(self, position: int) -> Group | None:
        """The group that a worker belongs to."""
        at = self._group_of.get(position)
        return None if at is None else self.groups[at]

    def changes_forgotten(self) -> None:
        """The table has emptied its list of changes, all of which were noted here."""
        self._seen = 0

    def _group(self, pool: Pool, value: str, members: Sequence[int]) -> Group:
        views, wanted = self._table.views, set(accelerator_kinds(self._need))
        capacity = sum(self._need.copies_in(views[p].total, _NO_LIMIT) for p in members)
        kinds = {kind for p in members for kind in accelerator_kinds(views[p].total)}
        misses = max(pool.misses[p] for p in members)
        return Group(value, tuple(members), capacity, (misses, len(kinds - wanted)))

    def _room_in(self, group: Group) -> int:
        free = self._table.free
        return sum(self._need.copies_in(free[p], _NO_LIMIT) for p in group.members)

    def catch_up(self) -> None:
        """Takes note of what has changed on the workers."""
        changes = self._table.changes
        if self._seen == len(changes):
            return
        news = {p for p in changes[self._seen :] if p in self._group_of}
        self._seen = len(changes)
        for at in {self._group_of[position] for position in news}:
            group, room = self.groups[at], self._room_in(self.groups[at])
            if room != self._room[at]:
                entries = self._by_room[group.rank]
                del entries[bisect_left(entries, (self._room[at], at))]
                insort(entries, (room, at))
                self._room[at] = room

    def _with_room(self, tasks: int) -> Iterator[int]:
        """The groups with enough room, tightest first."""
        for rank in sorted(self._by_room):
            entries = self._by_room[rank]
            for at in range(bisect_left(entries, (tasks, -1)), len(entries)):
                yield entries[at][1]

    def _places(self, members: Iterable[int], avoid: frozenset[WorkerId]) -> list[tuple[int, int]]:
        """The workers with room and how many members each takes."""
        table = self._table
        places = (
            (p, self._need.copies_in(table.free[p], _NO_LIMIT))
            for p in members
            if table.views[p].worker_id not in avoid
        )
        return [(position, copies) for position, copies in places if copies]

    def _spread_or_pack(self, places: list[tuple[int, int]], tasks: int) -> list[int]:
        ids = {
            p: self._table.views[p].attributes.get(ATTRIBUTE_TPU_WORKER_ID, "") for p, _ in places
        }
        if all(text.isascii() and text.isdigit() for text in ids.values()):
            return _spread(sorted(places, key=lambda place: (int(ids[place[0]]), place[0])), tasks)
        free = self._table.free
        return _pack(sorted(places, key=lambda place: (free_key(free[place[0]]), place[0])), tasks)


def _spread(places: Sequence[tuple[int, int]], tasks: int) -> list[int]:
    """As evenly as there is room; neighbours on one worker."""
    counts = [0] * len(places)
    left = tasks
    while left:
        for at, (_, copies) in enumerate(places):
            if left and counts[at] < copies:
                counts[at] += 1
                left -= 1
    return [position for (position, _), n in zip(places, counts, strict=True) for _ in range(n)]


def _pack(places: Iterable[tuple[int, int]], tasks: int) -> list[int]:
    """The fullest workers first, each until it is full."""
    chosen: list[int] = []
    for position, copies in places:
        chosen += [position] * min(copies, tasks - len(chosen))
    return chosen
