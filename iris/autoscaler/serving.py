"""Serves demand: packs it into capacity that is on its way, and buys what is missing.

Band by band, in the order in which the demands are given: what the last plan packed for the band
stays where it was packed, and the rest follows, first into what comes already, then into new
slices. So nothing that is on its way is kept from an earlier band, and what has been bought is
counted once, for whomever it was bought.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from iris.autoscaler.capacity import Capacity, Room, count
from iris.autoscaler.demand import Demand, ScalingAction, ScalingDecision, ScalingReason
from iris.autoscaler.fit import Fit, Scope, fitting
from iris.autoscaler.outlook import Obstacle, launching, unmet
from iris.autoscaler.packing import (
    DemandKey,
    Grant,
    Packing,
    PackingKey,
    PackingRecord,
    Place,
    demand_key,
)
from iris.autoscaler.supply import Rooms, Supply
from iris.model.ids import JobId
from iris.model.pending import PendingReason

_Fits = tuple[Fit, ...] | PendingReason


@dataclass(slots=True)
class _Waiting:
    """One demand, as far as it is served.

    Attributes:
        left: Tasks that are not packed.
        packed: Where the others are, by scale group.
    """

    demand: Demand
    key: PackingKey
    fits: _Fits
    left: int
    packed: dict[str, int] = field(default_factory=dict)

    @property
    def possible(self) -> tuple[Fit, ...]:
        """The groups that could hold it."""
        return () if isinstance(self.fits, PendingReason) else self.fits

    def pack(self, group: str, tasks: int) -> None:
        """So many tasks have capacity coming."""
        self.left -= tasks
        self.packed[group] = self.packed.get(group, 0) + tasks


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a gang takes of one slice: VM, and how many of its tasks there."""

    capacity: Capacity
    room: Room
    places: list[tuple[int, int]]


class Serving:
    """The demand side of one plan.

    Attributes:
        outlook: What is done about each job's demand.
        wakes: When groups that buy nothing now may buy again.
    """

    def __init__(
        self,
        supplies: Mapping[str, Supply],
        now: datetime,
        decisions: list[ScalingDecision],
        last: Packing,
    ) -> None:
        self.outlook: dict[JobId, PendingReason] = {}
        self.wakes: set[datetime] = set()
        self._record = PackingRecord()
        self._supplies = supplies
        self._now = now
        self._decisions = decisions
        self._last = last
        self._rooms = {
            name: Rooms(supply, last.known.get(name, frozenset()))
            for name, supply in supplies.items()
        }
        self._existing = {
            name: [one.slice.slice_id for one in supply.state.slices]
            for name, supply in supplies.items()
        }
        self._fits: dict[DemandKey, _Fits] = {}
        # Where each stands by priority.
        self._ranks: dict[Fit, int] = {}
        # By what a demand fits, if such a demand has been held: room only shrinks, so until more is
        # bought, its like is held for the same.
        self._obstacles: dict[tuple[Fit, ...], tuple[Obstacle, ...]] = {}

    def serve(self, demands: Sequence[Demand]) -> None:
        """Serves all of them."""
        for band in dict.fromkeys(one.band for one in demands):
            waiting = [self._waiting(one) for one in demands if one.band is band and one.tasks > 0]
            self._pack_as_before(waiting)
            for one in waiting:
                self._serve(one)

    def buy(
        self, supply: Supply, reason: ScalingReason, summary: str, job_id: JobId | None
    ) -> None:
        """One slice more."""
        supply.buy()
        self._obstacles.clear()
        name = supply.state.group.name
        self._decisions.append(
            ScalingDecision(
                self._now, ScalingAction.SCALE_UP, reason, name, job_id=job_id, summary=summary
            )
        )

    def note_reopening(self, supply: Supply) -> None:
        """Remembers to look again when a group may buy once more."""
        if supply.state.backoff.until is not None:
            self.wakes.add(supply.state.backoff.until)
        if supply.state.exhausted is not None:
            self.wakes.add(supply.state.exhausted.retry_at)
        if supply.is_paced(self._now):
            self.wakes.add(supply.opens_at(self._now))

    def packing(self) -> Packing:
        """What was packed where."""
        return self._record.made(self._existing)

    def _waiting(self, demand: Demand) -> _Waiting:
        key = demand_key(demand)
        fits = self._fits.get(key)
        if fits is None:
            groups = (supply.state.group for supply in self._supplies.values())
            fits = self._fits[key] = self._in_order(fitting(groups, demand, self._existing))
        return _Waiting(demand, (demand.band, key), fits, demand.tasks)

    def _in_order(self, fits: _Fits) -> _Fits:
        """By priority; groups whose slices come to little are the last."""
        if isinstance(fits, PendingReason):
            return fits
        self._ranks.update((fit, rank) for rank, fit in enumerate(fits))
        return tuple(sorted(fits, key=lambda fit: bool(self._churn(fit))))

    def _churn(self, fit: Fit) -> str:
        return self._supplies[fit.group.name].state.churn

    # --- what was packed before -----------------------------------------------------------------

    def _pack_as_before(self, waiting: Sequence[_Waiting]) -> None:
        """Packs what the last plan packed, as far as it still fits."""
        alike: dict[PackingKey, list[_Waiting]] = {}
        for one in waiting:
            if one.possible:
                alike.setdefault(one.key, []).append(one)
        for key, ones in alike.items():
            fits = {fit.group.name: fit for fit in ones[0].possible}
            unpacked = iter(ones)
            for grant in self._last.grants.get(key, ()):
                fit = fits.get(grant.group)
                if fit is None:
                    continue
                if ones[0].demand.gang is None:
                    self._place_singles_again(ones, fit, grant)
                elif (places := self._same_places(fit, grant)) is not None:
                    gang = next(unpacked, None)
                    if gang is None:
                        break
                    self._take_gang(gang, fit, places)

    def _place_singles_again(self, ones: Sequence[_Waiting], fit: Fit, grant: Grant) -> None:
        takers = (one for one in ones if one.left)
        one = next(takers, None)
        for place in grant.places:
            room = self._rooms[grant.group].coming(place.room)
            left = 0 if room is None else room.copies_on(fit, place.vm, place.tasks)
            while room is not None and left and one is not None:
                tasks = min(left, one.left)
                self._take_singles(one, fit, room, [(place.vm, tasks)])
                left -= tasks
                if not one.left:
                    one = next(takers, None)

    def _same_places(self, fit: Fit, grant: Grant) -> list[_Taken] | None:
        """The places of a gang, if all of them are still there."""
        supply, rooms = self._supplies[grant.group], self._rooms[grant.group]
        found: dict[Room, _Taken] = {}
        for place in grant.places:
            capacity, room = supply.coming, rooms.coming(place.room)
            if room is None and fit.scope is Scope.GROUP:
                capacity, room = supply.idle(), rooms.idle(place.room)
            if room is None or room.copies_on(fit, place.vm, place.tasks) < place.tasks:
                return None
            taken = found.setdefault(room, _Taken(capacity, room, []))
            taken.places.append((place.vm, place.tasks))
        return list(found.values())

    # --- what is left ---------------------------------------------------------------------------

    def _serve(self, one: _Waiting) -> None:
        """Packs what is left of a demand; what cannot be packed is held."""
        if isinstance(one.fits, PendingReason):
            self._hold(one, ScalingReason.NOTHING_FITS, "", one.fits)
            return
        if one.left and one.fits not in self._obstacles:
            find = self._serve_singles if one.demand.gang is None else self._serve_gang
            find(one)
        if one.left:
            obstacles = self._what_hinders(one.possible)
            first = min(obstacles, key=lambda obstacle: obstacle.order)
            self._hold(one, first.reason, first.group, unmet(one.demand, obstacles))
        if one.packed:
            self.outlook[one.demand.job_id] = launching(one.demand, one.packed)

    def _serve_singles(self, one: _Waiting) -> None:
        for fit in one.possible:
            self._spend_coming(one, fit)
        for fit in one.possible:
            while one.left and self._may_buy(fit):
                self._buy_for(one, fit, 1)
                self._spend_coming(one, fit)
            if one.left and self._is_soon_open(fit):
                return

    def _spend_coming(self, one: _Waiting, fit: Fit) -> None:
        """Packs single tasks into slices of one group that are on their way."""
        while one.left:
            room = self._supplies[fit.group.name].coming.first_with_room(fit, 1)
            if room is None:
                return
            self._take_singles(one, fit, room, room.places(fit, one.left))

    def _take_singles(
        self, one: _Waiting, fit: Fit, room: Room, places: Sequence[tuple[int, int]]
    ) -> None:
        """Packs single tasks."""
        group = fit.group.name
        self._supplies[group].coming.spend(room, fit, places)
        one.pack(group, count(places))
        self._record.add_singles(
            one.key, group, [Place(room.ref, vm, tasks) for vm, tasks in places]
        )

    def _serve_gang(self, one: _Waiting) -> None:
        for buy in (False, True):
            for fit in one.possible:
                find = self._on_one_slice if fit.scope is Scope.SLICE else self._on_one_group
                found = find(one, fit, buy=buy)
                if found:
                    self._take_gang(one, fit, found)
                    return
                if buy and self._is_soon_open(fit):
                    return

    def _take_gang(self, one: _Waiting, fit: Fit, found: Sequence[_Taken]) -> None:
        """Packs a gang."""
        group = fit.group.name
        for taken in found:
            taken.capacity.spend(taken.room, fit, taken.places)
            if taken.room.slice_id is not None:
                self._supplies[group].needed.add(taken.room.slice_id)
        one.pack(group, one.demand.tasks)
        places = (Place(taken.room.ref, vm, tasks) for taken in found for vm, tasks in taken.places)
        self._record.add_gang(one.key, group, places)

    def _on_one_slice(self, one: _Waiting, fit: Fit, *, buy: bool) -> list[_Taken]:
        """One slice that is on its way, or a new one."""
        coming, tasks = self._supplies[fit.group.name].coming, one.demand.tasks
        if buy:
            if not self._may_buy(fit):
                return []
            self._buy_for(one, fit, 1)
        room = coming.first_with_room(fit, tasks)
        return [_Taken(coming, room, room.places(fit, tasks))] if room is not None else []

    def _on_one_group(self, one: _Waiting, fit: Fit, *, buy: bool) -> list[_Taken]:
        """The slices of one group: those that stand idle, those on their way, and new ones if that
        is enough.
        """
        supply, left = self._supplies[fit.group.name], one.demand.tasks
        most = self._may_buy(fit) if buy else 0
        if buy and not most:
            return []
        found: list[_Taken] = []
        for capacity, room in _with_room(supply, fit):
            left -= _take_from(capacity, room, fit, left, found)
            if not left:
                return found
        missing = -(-left // fit.per_slice)
        if missing > most:
            if supply.comes_bit_by_bit(self._now) and missing <= supply.most_more:
                # Few slices are tried or asked for at a time. Each is of use to the gang once the
                # others have followed; without it they never could.
                self._buy_for(one, fit, most)
            return []
        self._buy_for(one, fit, missing)
        for room in supply.coming.rooms[-missing:]:
            left -= _take_from(supply.coming, room, fit, left, found)
        return found

    def _may_buy(self, fit: Fit) -> int:
        """How many new slices of use may be bought now."""
        return self._supplies[fit.group.name].headroom(self._now) if fit.launchable else 0

    def _is_soon_open(self, fit: Fit) -> bool:
        """Whether only its pace keeps a group from more: nothing is bought elsewhere for that."""
        return fit.launchable and self._supplies[fit.group.name].is_paced(self._now)

    def _buy_for(self, one: _Waiting, fit: Fit, slices: int) -> None:
        demand, supply = one.demand, self._supplies[fit.group.name]
        tasks = "1 task" if demand.tasks == 1 else f"{demand.tasks} tasks"
        reason = ScalingReason.DEMAND
        summary = f"{demand.job_id} needs room for {tasks} of {demand.resources}."
        passed = self._passed_over(one, fit)
        if passed is not None:
            reason = ScalingReason.CHURN
            summary += f" {passed.group.name} is passed over: {self._churn(passed)}."
        for _ in range(slices):
            self.buy(supply, reason, summary, demand.job_id)

    def _passed_over(self, one: _Waiting, bought: Fit) -> Fit | None:
        """A group that would have come first and could sell, but for what became of its slices."""
        if self._churn(bought):
            return None
        rank = self._ranks[bought]
        return next(
            (
                fit
                for fit in one.possible
                if self._ranks[fit] < rank and self._churn(fit) and self._may_buy(fit)
            ),
            None,
        )

    # --- demand that is left unmet --------------------------------------------------------------

    def _what_hinders(self, fits: tuple[Fit, ...]) -> tuple[Obstacle, ...]:
        """Why groups that could hold a demand do not get another slice now."""
        found = self._obstacles.get(fits)
        if found is None:
            supplies = [self._supplies[fit.group.name] for fit in fits]
            for supply in supplies:
                self.note_reopening(supply)
            found = self._obstacles[fits] = tuple(
                Obstacle.of(supply, fit, self._now)
                for supply, fit in zip(supplies, fits, strict=True)
            )
        return found

    def _hold(self, one: _Waiting, reason: ScalingReason, group: str, why: PendingReason) -> None:
        demand = one.demand
        self.outlook[demand.job_id] = why
        what = f"{one.left} of {demand.tasks} tasks of {demand.job_id} have no capacity coming"
        self._decisions.append(
            ScalingDecision(
                self._now,
                ScalingAction.HOLD,
                reason,
                group,
                job_id=demand.job_id,
                summary=f"{what}: {why.summary()}",
            )
        )


def _take_from(capacity: Capacity, room: Room, fit: Fit, limit: int, found: list[_Taken]) -> int:
    """Adds what a gang takes of one slice; how many of its tasks."""
    places = room.places(fit, limit)
    if places:
        found.append(_Taken(capacity, room, places))
    return count(places)


def _with_room(supply: Supply, fit: Fit) -> Iterator[tuple[Capacity, Room]]:
    idle, coming = supply.idle(), supply.coming
    return chain(
        ((idle, room) for room in idle.with_room(fit)),
        ((coming, room) for room in coming.with_room(fit)),
    )
