"""Best fit without a scan: the workers that satisfy one set of constraints, sorted by what they
have free.

The measure of "best", compared in this order, less is better:

1. kinds of accelerators that the worker has and the task does not ask for, so that a small task
   does not break up a TPU slice while a plain machine has room;
2. free accelerators, 3. free cpu, 4. free memory, 5. free disk: the fullest worker on which the
   task still fits, so that large holes stay whole and idle machines can be given back;
6. the snapshot's order.

Workers with the same amounts free are one entry, so a fleet of equal machines is a handful of
entries however large it is. A worker that was just given a task has less free than before and still
fits better than any other that has room: a run of equal tasks fills it without searching again.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

from iris.model.ids import WorkerId
from iris.model.resources import Resources
from iris.scheduler.workers import WorkerTable

# Accelerators in all, cpu, memory, disk, accelerators by kind.
FreeKey = tuple[int, int, int, int, tuple[tuple[str, int], ...]]
_NOBODY: frozenset[WorkerId] = frozenset()


class Pool:
    """The workers that satisfy one set of constraints."""

    def __init__(self, table: WorkerTable, members: Sequence[int]) -> None:
        self.members = members
        self._table = table
        self._seen = len(table.changes)
        self._exhausted: set[Resources] = set()
        self._kinds: dict[int, tuple[str, ...]] = {}
        by_kinds: dict[tuple[str, ...], list[int]] = {}
        for position in members:
            kinds = accelerator_kinds(table.views[position].total)
            self._kinds[position] = kinds
            by_kinds.setdefault(kinds, []).append(position)
        self._shelves = {kinds: _Shelf(table, some) for kinds, some in by_kinds.items()}
        self._search_order: dict[tuple[str, ...], list[_Shelf]] = {}

    def best(self, need: Resources, avoid: frozenset[WorkerId]) -> int | None:
        """The worker that fits best; one to be avoided only if no other fits. None if none does."""
        if need in self._exhausted:
            return None
        self._catch_up()
        shelves = self._shelves_for(need)
        for unwanted in (avoid, _NOBODY) if avoid else (_NOBODY,):
            for shelf in shelves:
                position = shelf.best(need, unwanted)
                if position is not None:
                    return position
        # What is free only shrinks, so this stays true until the pass ends.
        self._exhausted.add(need)
        return None

    def _catch_up(self) -> None:
        changes = self._table.changes
        if self._seen == len(changes):
            return
        for position in set(changes[self._seen :]):
            kinds = self._kinds.get(position)
            if kinds is not None:
                self._shelves[kinds].move(position)
        self._seen = len(changes)

    def _shelves_for(self, need: Resources) -> list["_Shelf"]:
        wanted = accelerator_kinds(need)
        order = self._search_order.get(wanted)
        if order is None:
            usable = [kinds for kinds in self._shelves if set(wanted) <= set(kinds)]
            order = [self._shelves[kinds] for kinds in sorted(usable, key=lambda k: (len(k), k))]
            self._search_order[wanted] = order
        return order


class _Shelf:
    """Workers with the same kinds of accelerators, by what they have free."""

    def __init__(self, table: WorkerTable, members: Iterable[int]) -> None:
        self._table = table
        self._key_of: dict[int, FreeKey] = {}
        self._entries: dict[FreeKey, list[int]] = {}
        for position in members:
            key = free_key(table.free[position])
            self._key_of[position] = key
            self._entries.setdefault(key, []).append(position)
        # How many of an entry's positions are still there; those that moved away are dropped when
        # they come up.
        self._sizes = {key: len(positions) for key, positions in self._entries.items()}
        self._keys = sorted(self._entries)

    def move(self, position: int) -> None:
        """Puts a worker where it belongs after a change."""
        old, new = self._key_of[position], free_key(self._table.free[position])
        if old == new:
            return
        self._key_of[position] = new
        self._sizes[old] -= 1
        if not self._sizes[old]:
            del self._sizes[old], self._entries[old]
            del self._keys[bisect_left(self._keys, old)]
        if new in self._entries:
            heapq.heappush(self._entries[new], position)
            self._sizes[new] += 1
        else:
            self._entries[new] = [position]
            self._sizes[new] = 1
            insort(self._keys, new)

    def best(self, need: Resources, avoid: frozenset[WorkerId]) -> int | None:
        """The worker that fits best and is not to be avoided."""
        keys, least = self._keys, free_key(need)
        _, cpu, memory, disk, accelerators = least
        # No worker that fits comes before this one; with as many chips, none with less cpu does.
        for at in range(bisect_left(keys, (*least[:4], ())), len(keys)):
            key = keys[at]
            if key[1] < cpu or key[2] < memory or key[3] < disk:
                continue
            if accelerators and not _all_there(accelerators, key[4]):
                continue
            position = self._first(key, avoid)
            if position is not None:
                return position
        return None

    def _first(self, key: FreeKey, avoid: frozenset[WorkerId]) -> int | None:
        """The first worker of an entry that is not to be avoided."""
        heap, skipped, found = self._entries[key], [], None
        while heap and found is None:
            position = heap[0]
            if self._key_of[position] != key:
                heapq.heappop(heap)
            elif self._table.views[position].worker_id in avoid:
                skipped.append(heapq.heappop(heap))
            else:
                found = position
        for position in skipped:
            heapq.heappush(heap, position)
        return found


def accelerator_kinds(amount: Resources) -> tuple[str, ...]:
    """Which kinds of accelerators there are in it."""
    return tuple(kind for kind, _ in amount.accelerators)


def free_key(free: Resources) -> FreeKey:
    """What workers are sorted by within one shelf: rules 2 to 5 of the measure."""
    chips = sum(count for _, count in free.accelerators)
    return (chips, free.cpu_millis, free.memory_bytes, free.disk_bytes, free.accelerators)


def _all_there(needed: Iterable[tuple[str, int]], there: Iterable[tuple[str, int]]) -> bool:
    have = dict(there)
    return all(count <= have.get(kind, 0) for kind, count in needed)
