"""Whose place is given to work of an earlier band that finds no room.

The rules:

* Only work of a strictly later band makes room, only for work within its user's budget, and a gang
  makes room as a whole, on whatever workers it runs.
* What is being stopped already counts as room that is coming: nothing is stopped twice for the same
  need, and nothing for more work than the user's budget allows together with what room is coming
  for. The room is kept for the work that it was made for in this pass; in those that follow it is
  kept, in the order of service, for whoever waits and has use for it.
* Victims are chosen by cost: of the latest bands first, then the least work lost (the fraction of
  the fleet that an attempt holds, times how long it has held it; a gang loses all of its members'),
  then the fewest attempts, then the worker or group that comes first. Whoever turns out not to be
  needed is spared, the dearest first.
* A gang makes room in one group only; one that rests after its reservation expired, or that no room
  may be kept for because it is kept for too many, makes none: the room would be lost to others.

A pass looks at _MOST_WORKERS workers, or at _MOST_GROUPS groups, for each class of waiting tasks:
enough to find cheap victims, and a bound on what the choice costs.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from iris.model.ids import AttemptUid, JobId
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.scheduler.gangs import GangIndex, Group
from iris.scheduler.pool import Pool
from iris.scheduler.snapshot import Occupant, Preemption, Work
from iris.scheduler.workers import WorkerTable

_MOST_WORKERS = 256
_MOST_GROUPS = 64
_NO_LIMIT = 1 << 40
_NOTHING = Resources()
# Latest band first, work lost, attempts, which worker or group.
_Cost = tuple[int, float, int, int]


@dataclass(frozen=True, slots=True)
class _Unit:
    """What goes as a whole: an attempt, or all attempts of a gang, with their workers."""

    key: str
    rank: int
    lost: float
    attempts: tuple[tuple[int, Occupant], ...]

    @property
    def order(self) -> tuple[int, float, str]:
        """Which is stopped before another: the latest band, then the cheapest."""
        return (-self.rank, self.lost, self.key)

    def frees(self, position: int) -> Resources:
        """What it holds on one worker."""
        amount = _NOTHING
        for at, one in self.attempts:
            if at == position:
                amount += one.resources
        return amount


@dataclass(frozen=True, slots=True)
class _Offer:
    """Room on a worker (or in a group) for one task (or gang), and who has to go for it."""

    at: int
    units: tuple[_Unit, ...]

    @property
    def cost(self) -> _Cost:
        """Less is better."""
        earliest = min((unit.rank for unit in self.units), default=_NO_LIMIT)
        lost = sum(unit.lost for unit in self.units)
        return (-earliest, lost, sum(len(unit.attempts) for unit in self.units), self.at)

    @property
    def attempts(self) -> int:
        """How many would be stopped."""
        return sum(len(unit.attempts) for unit in self.units)


class Preemptor:
    """Chooses the victims of one pass.

    Args:
        fraction: Of the fleet that an amount is.
        limit: How many attempts may be stopped.
    """

    def __init__(
        self,
        table: WorkerTable,
        work: Work,
        now: datetime,
        fraction: Callable[[Resources], float],
        limit: int,
    ) -> None:
        self.chosen: list[Preemption] = []
        self._table = table
        self._work = work
        self._now = now
        self._fraction = fraction
        self._limit = limit
        self._doomed: set[AttemptUid] = set()
        self._units: dict[str, _Unit] = {}

    def make_room(
        self, job_id: JobId, band: PriorityBand, need: Resources, pool: Pool, tasks: int
    ) -> int:
        """Has room made for single tasks, so many at most; for how many. It is kept for them."""
        table, made = self._table, 0
        heap: list[tuple[_Cost, int]] = []

        def offer(position: int) -> None:
            found = self._offer_on(position, band, need)
            if found is not None:
                heapq.heappush(heap, (found.cost, position))

        for position in islice(self._candidates(band, need, pool), _MOST_WORKERS):
            offer(position)
        while heap and made < tasks:
            cost, position = heapq.heappop(heap)
            found = self._offer_on(position, band, need)
            if found is None:
                continue
            if found.cost != cost:
                # Another choice has changed it meanwhile.
                heapq.heappush(heap, (found.cost, position))
                continue
            if len(self.chosen) + found.attempts > self._limit:
                break
            self._accept(found, job_id)
            table.hold(position, job_id, need)
            made += 1
            # A gang that goes makes room on all of its workers: there it costs nothing more.
            freed = {at for unit in found.units for at, _ in unit.attempts}
            for other in sorted({position, *freed}):
                if other in pool.misses and need.fits_in(table.views[other].total):
                    offer(other)
        return made

    def make_room_for_gang(
        self, job_id: JobId, band: PriorityBand, need: Resources, size: int, index: GangIndex
    ) -> Group | None:
        """Has room made for a gang in one group; which. The caller keeps it."""
        best: tuple[_Offer, Group] | None = None
        for group in islice(self._groups(band, size, index), _MOST_GROUPS):
            offer = self._offer_in(group, band, need, size)
            if offer is None or len(self.chosen) + offer.attempts > self._limit:
                continue
            if best is None or offer.cost < best[0].cost:
                best = offer, group
        if best is None:
            return None
        self._accept(best[0], job_id)
        return best[1]

    def _candidates(self, band: PriorityBand, need: Resources, pool: Pool) -> Iterable[int]:
        for worker_id in self._work.below(band):
            position = self._table.position_of.get(worker_id)
            if position in pool.misses and need.fits_in(self._table.views[position].total):
                yield position

    def _groups(self, band: PriorityBand, size: int, index: GangIndex) -> Iterable[Group]:
        seen = set()
        for worker_id in self._work.below(band):
            position = self._table.position_of.get(worker_id)
            group = index.group_at(position) if position is not None else None
            if group is not None and group.value not in seen:
                seen.add(group.value)
                if group.capacity >= size:
                    yield group

    def _offer_on(self, position: int, band: PriorityBand, need: Resources) -> _Offer | None:
        room = self._table.soon(position)
        chosen: list[_Unit] = []
        for unit in self._units_on((position,), band):
            if need.fits_in(room):
                break
            chosen.append(unit)
            room += unit.frees(position)
        if not need.fits_in(room):
            return None
        for unit in reversed(chosen[:]):
            without = room - unit.frees(position)
            if need.fits_in(without):
                chosen.remove(unit)
                room = without
        return _Offer(position, tuple(chosen))

    def _offer_in(
        self, group: Group, band: PriorityBand, need: Resources, size: int
    ) -> _Offer | None:
        room = _Rooms(self._table, group.members, need)
        chosen: list[_Unit] = []
        for unit in self._units_on(group.members, band):
            if room.total >= size:
                break
            chosen.append(unit)
            room.change(unit, 1)
        if room.total < size:
            return None
        for unit in reversed(chosen[:]):
            room.change(unit, -1)
            if room.total >= size:
                chosen.remove(unit)
            else:
                room.change(unit, 1)
        return _Offer(group.members[0], tuple(chosen))

    def _units_on(self, positions: Iterable[int], band: PriorityBand) -> Sequence[_Unit]:
        """What may be stopped on these workers, in the order in which it would be."""
        units: dict[str, _Unit] = {}
        for position in positions:
            for one in self._work.on(self._table.views[position].worker_id):
                if (
                    not band.may_preempt(one.band)
                    or one.stopping
                    or one.attempt_uid in self._doomed
                ):
                    continue
                key: str = one.job_id if one.in_gang else one.attempt_uid
                if key not in units:
                    units[key] = self._unit(key, position, one)
        return sorted(units.values(), key=lambda unit: unit.order)

    def _unit(self, key: str, position: int, one: Occupant) -> _Unit:
        unit = self._units.get(key)
        if unit is None:
            attempts: tuple[tuple[int, Occupant], ...] = ((position, one),)
            if one.in_gang:
                attempts = tuple(
                    (self._table.position_of[worker_id], other)
                    for worker_id, other in self._work.of_job(one.job_id)
                    if not other.stopping and worker_id in self._table.position_of
                )
            lost = sum(
                self._fraction(other.resources)
                * max(0.0, (self._now - other.since).total_seconds())
                for _, other in attempts
            )
            unit = self._units[key] = _Unit(key, one.band.rank, lost, attempts)
        return unit

    def _accept(self, offer: _Offer, for_job: JobId) -> None:
        for unit in offer.units:
            for position, one in unit.attempts:
                worker_id = self._table.views[position].worker_id
                self.chosen.append(Preemption(one.attempt_uid, worker_id, one.job_id, for_job))
                self._doomed.add(one.attempt_uid)
                self._table.release(position, one.resources)


class _Rooms:
    """How many members of a gang a group has room for, as units are thought away and back."""

    def __init__(self, table: WorkerTable, members: Sequence[int], need: Resources) -> None:
        self._need = need
        self._free = {position: table.soon(position) for position in members}
        self._copies = {p: need.copies_in(free, _NO_LIMIT) for p, free in self._free.items()}
        self.total = sum(self._copies.values())

    def change(self, unit: _Unit, times: int) -> None:
        """The unit is gone (1) or there again (-1)."""
        for position, one in unit.attempts:
            if position not in self._free:
                continue
            self._free[position] += one.resources * times
            copies = self._need.copies_in(self._free[position], _NO_LIMIT)
            self.total += copies - self._copies[position]
            self._copies[position] = copies
