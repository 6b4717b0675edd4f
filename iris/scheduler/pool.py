"""Best fit without a scan: the workers that satisfy one set of constraints, sorted by what they
have free.

The measure of "best", compared in this order, less is better:

1. preferences of the job that the worker does not satisfy;
2. kinds of accelerators that the worker has and the task does not ask for, so that a small task
   does not break up a TPU slice while a plain machine has room;
3. free accelerators, 4. free cpu, 5. free memory, 6. free disk, 7. free ports: the fullest worker
   on which the task still fits, so that large holes stay whole and idle machines can be given back;
8. the snapshot's order.

Workers with the same amounts free are one entry, so a fleet of equal machines is a handful of
entries however large it is. A worker that was just given a task has less free than before and still
fits better than any other that has room: a run of equal tasks fills it without searching again.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence

from iris.model.constraints import Constraint
from iris.model.ids import WorkerId
from iris.model.resources import Resources
from iris.scheduler.workers import FreeKey, WorkerTable, free_key

_ShelfKey = tuple[int, tuple[str, ...]]
_NOBODY: frozenset[WorkerId] = frozenset()
# So many that moved away are no reason to tidy up.
_FEW = 16


class Pool:
    """The workers that satisfy one set of constraints and tolerations.

    Attributes:
        members: Their positions, in order.
        misses: Of each member, how many preferences it does not satisfy.
    """

    def __init__(
        self, table: WorkerTable, members: Sequence[int], preferences: Sequence[Constraint] = ()
    ) -> None:
        self.members = members
        self.misses: dict[int, int] = {}
        self._table = table
        self._seen = len(table.changes)
        self._exhausted: set[Resources] = set()
        self._shelf_of: dict[int, _Shelf] = {}
        by_key: dict[_ShelfKey, list[int]] = {}
        for position in members:
            view = table.views[position]
            self.misses[position] = sum(not rule.holds(view.attributes) for rule in preferences)
            key = (self.misses[position], accelerator_kinds(view.total))
            by_key.setdefault(key, []).append(position)
        self._shelves = {key: _Shelf(table, some) for key, some in by_key.items()}
        for key, some in by_key.items():
            self._shelf_of.update(dict.fromkeys(some, self._shelves[key]))
        self._search_order: dict[tuple[str, ...], list[_Shelf]] = {}

    def begin(self) -> None:
        """A new pass: what had no room may have some now."""
        self._exhausted.clear()

    def best(self, need: Resources, avoid: frozenset[WorkerId]) -> int | None:
        """The worker that fits best; one to be avoided only if no other fits. None if none does."""
        if need in self._exhausted:
            return None
        self.catch_up()
        shelves = self._shelves_for(need)
        for unwanted in (avoid, _NOBODY) if avoid else (_NOBODY,):
            for shelf in shelves:
                position = shelf.best(need, unwanted)
                if position is not None:
                    return position
        # What is free only shrinks, so this stays true until the pass ends (or a hold is given up).
        self._exhausted.add(need)
        return None

    def freest(self, count: int) -> Iterator[int]:
        """Workers with much free: of each kind of machine those `count` entries that come last in
        the order of the measure.
        """
        self.catch_up()
        for shelf in self._shelves.values():
            yield from shelf.freest(count)

    def catch_up(self) -> None:
        """Takes note of what has changed on the workers."""
        changes = self._table.changes
        if self._seen == len(changes):
            return
        news = changes[self._seen :]
        for position in set(news) if len(news) > 1 else news:
            shelf = self._shelf_of.get(position)
            if shelf is not None:
                shelf.move(position)
        self._seen = len(changes)

    def changes_forgotten(self) -> None:
        """The table has emptied its list of changes, all of which were noted here."""
        self._seen = 0

    def _shelves_for(self, need: Resources) -> list["_Shelf"]:
        wanted = accelerator_kinds(need)
        order = self._search_order.get(wanted)
        if order is None:
            usable = [key for key in self._shelves if set(wanted) <= set(key[1])]
            usable.sort(key=lambda key: (key[0], len(key[1]), key[1]))
            order = self._search_order[wanted] = [self._shelves[key] for key in usable]
        return order


class _Shelf:
    """Workers with the same kinds of accelerators, by what they have free."""

    def __init__(self, table: WorkerTable, members: Iterable[int]) -> None:
        self._table = table
        self._key_of: dict[int, FreeKey] = {}
        self._entries: dict[FreeKey, list[int]] = {}
        for position in members:
            key = table.free_keys[position]
            self._key_of[position] = key
            self._entries.setdefault(key, []).append(position)
        # How many of an entry's positions are still there; those that moved away are dropped when
        # they come up.
        self._sizes = {key: len(positions) for key, positions in self._entries.items()}
        self._keys = sorted(self._entries)

    def move(self, position: int) -> None:
        """Puts a worker where it belongs after a change."""
        # The most frequent of all steps: several for each placement.
        sizes, entries, keys = self._sizes, self._entries, self._keys
        old, new = self._key_of[position], self._table.free_keys[position]
        if old == new:
            return
        self._key_of[position] = new
        left = sizes[old] - 1
        if left:
            sizes[old] = left
        else:
            del sizes[old], entries[old], keys[bisect_left(keys, old)]
        there = entries.get(new)
        if there is None:
            entries[new] = [position]
            sizes[new] = 1
            insort(keys, new)
            return
        heapq.heappush(there, position)
        sizes[new] += 1
        if len(there) > 2 * sizes[new] + _FEW:
            # Those that moved away are dropped before they are more than those that are there: an
            # entry that is never empty would grow for ever.
            entries[new] = sorted({p for p in there if self._key_of[p] == new})

    def best(self, need: Resources, avoid: frozenset[WorkerId]) -> int | None:
        """The worker that fits best and is not to be avoided."""
        keys, least = self._keys, free_key(need)
        _, cpu, memory, disk, ports, accelerators = least
        # No worker that fits comes before this one; with as many chips, none with less cpu does.
        for at in range(bisect_left(keys, (*least[:5], ())), len(keys)):
            key = keys[at]
            if key[1] < cpu or key[2] < memory or key[3] < disk or key[4] < ports:
                continue
            if accelerators and not _all_there(accelerators, key[5]):
                continue
            position = self._first(key, avoid)
            if position is not None:
                return position
        return None

    def freest(self, count: int) -> Iterator[int]:
        """One worker of each of the `count` last entries, the last first."""
        for key in self._keys[: -count - 1 : -1]:
            position = self._first(key, _NOBODY)
            if position is not None:
                yield position

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


def _all_there(needed: Iterable[tuple[str, int]], there: Iterable[tuple[str, int]]) -> bool:
    have = dict(there)
    return all(count <= have.get(kind, 0) for kind, count in needed)
