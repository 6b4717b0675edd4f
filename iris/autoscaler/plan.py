"""What to buy and what to give back: a pure function from demand, groups and slices, as of one
moment, to decisions.

In this order: slices that failed are cleared away; groups below `min_slices` get slices; each
demand, in the order given, is packed first into capacity that is on its way and then into new
slices, group by group in order of preference (`fit.fitting`); what is idle goes back.

A slice is on its way from the request for it until the controller's view has shown all its workers
at once. Demand and occupancy are from the same turn of the controller, so whatever workers the view
shows, the scheduler has tried them for the very demand it shows: they are not counted again. So
each slice is counted once. And demand stays packed where the last plan packed it, as long as that
is possible: packed anew from nothing, it could move into what was bought for another, for which
more would then be bought.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from iris.autoscaler.capacity import Capacity, DemandKey, Room, count, demand_key
from iris.autoscaler.demand import (
    Demand,
    FleetView,
    ScalingAction,
    ScalingDecision,
    ScalingReason,
    SliceOccupancy,
)
from iris.autoscaler.fit import Fit, Scope, fitting
from iris.autoscaler.groups import Backoff, GroupState, SliceState, after_failed_boot
from iris.autoscaler.outlook import Obstacle, launching, unmet
from iris.autoscaler.settings import AutoscalerSettings
from iris.model.ids import JobId, SliceId
from iris.model.pending import PendingReason

# By job, then by scale group: how many tasks have capacity coming there.
Packing = Mapping[JobId, Mapping[str, int]]
_NO_PACKING: Packing = {}
_NEVER_SEEN = SliceOccupancy(workers=0, attempts=0, idle_since=None)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now.

    Attributes:
        decisions: SCALE_UP is one slice of `scale_group`; SCALE_DOWN is about `slice_id`:
            BOOT_FAILED and SLICE_LOST ones are gone or useless whatever runs there, the others only
            go if they have nothing to do; HOLD is a demand left unmet.
        backoffs: Of the groups for which it changed. outlook: What is done about each job's demand.
        packing: How many of each job's tasks were packed where. Handed to the next plan, which
        begins with it. wake_at: When the same input would give another plan; None: never.
    """

    decisions: tuple[ScalingDecision, ...] = ()
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    outlook: Mapping[JobId, PendingReason] = field(default_factory=dict)
    packing: Packing = field(default_factory=dict)
    wake_at: datetime | None = None


def plan(
    view: FleetView,
    groups: Sequence[GroupState],
    settings: AutoscalerSettings,
    now: datetime,
    packing: Packing = _NO_PACKING,
) -> Plan:
    """One plan. What earlier ones began is in `groups`; `packing` is the last one's, if there was
    one.
    """
    return _Planning(view, groups, settings, now, packing).run()


class _Planning:
    """One plan in the making."""

    def __init__(
        self,
        view: FleetView,
        groups: Sequence[GroupState],
        settings: AutoscalerSettings,
        now: datetime,
        packing: Packing,
    ) -> None:
        self._view = view
        self._last_packing = packing
        self._packing: dict[JobId, dict[str, int]] = {}
        self._settings = settings
        self._now = now
        self._decisions: list[ScalingDecision] = []
        self._outlook: dict[JobId, PendingReason] = {}
        self._wakes: list[datetime] = []
        self._needed: set[SliceId] = set()
        self._fits: dict[tuple[DemandKey, int], tuple[Fit, ...] | PendingReason] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._groups = {one.group.name: self._clear_failed(one) for one in groups}
        self._capacity = {name: self._coming(one) for name, one in self._groups.items()}
        self._idle = {name: self._idle_rooms(one) for name, one in self._groups.items()}
        self._bought = dict.fromkeys(self._groups, 0)

    def run(self) -> Plan:
        for state in self._groups.values():
            self._fill_up(state)
        for demand in self._view.demands:
            self._pack_as_before(demand)
        for demand in self._view.demands:
            self._serve(demand)
        for state in self._groups.values():
            self._give_back(state)
        wakes = [moment for moment in self._wakes if moment > self._now]
        return Plan(
            decisions=tuple(self._decisions),
            backoffs=self._backoffs,
            outlook=self._outlook,
            packing=self._packing,
            wake_at=min(wakes, default=None),
        )

    # --- slices that failed ---------------------------------------------------------------------

    def _clear_failed(self, state: GroupState) -> GroupState:
        """Decides about slices that are gone or did not come up; the group without them."""
        left: list[SliceState] = []
        for one in state.slices:
            reason, problem = self._failure(one)
            if reason is None:
                left.append(one)
                continue
            if reason is ScalingReason.BOOT_FAILED:
                state = self._failed_boot(state, problem)
            summary = f"{one.slice.slice_id} is given up: {problem}."
            self._decide(ScalingAction.SCALE_DOWN, reason, state, summary, one.slice.slice_id)
        leaving = state.leaving + len(state.slices) - len(left)
        return replace(state, slices=tuple(left), leaving=leaving)

    def _failure(self, one: SliceState) -> tuple[ScalingReason | None, str]:
        reason = ScalingReason.SLICE_LOST if one.booted else ScalingReason.BOOT_FAILED
        if one.slice.state.is_gone:
            what = f"it {'was' if one.booted else 'came up'} {one.slice.state.value}"
            return reason, f"{what}{': ' if one.slice.problem else ''}{one.slice.problem}"
        seen = self._occupancy(one)
        if one.incomplete_since is None or (one.booted and seen.attempts):
            return None, ""
        limit = self._settings.boot_timeout
        if one.incomplete_since + limit > self._now:
            self._wakes.append(one.incomplete_since + limit)
            return None, ""
        problem = f"{seen.workers} of its workers are there after {limit.total_seconds():g} s"
        return reason, f"only {problem}{': ' if one.slice.problem else ''}{one.slice.problem}"

    def _failed_boot(self, state: GroupState, problem: str) -> GroupState:
        backoff = after_failed_boot(state.backoff, problem, self._now, self._settings)
        self._backoffs[state.group.name] = backoff
        return replace(state, backoff=backoff)

    # --- what there is and what comes -----------------------------------------------------------

    def _occupancy(self, one: SliceState) -> SliceOccupancy:
        return self._view.slices.get(one.slice.slice_id, _NEVER_SEEN)

    def _coming(self, state: GroupState) -> Capacity:
        """The slices of a group that are on their way."""
        capacity = Capacity()
        for one in state.slices:
            if not one.booted:
                seen = self._occupancy(one)
                capacity.add(Room.of_slice(state.group, one.slice.slice_id, seen))
        for _ in range(state.creating):
            capacity.add(Room.of_new_slice(state.group))
        return capacity

    def _idle_rooms(self, state: GroupState) -> list[Room]:
        """Whole slices that stand idle. Of use only to gangs that take several: one that fits into
        them would be there.
        """
        return [
            Room.of_slice(state.group, one.slice.slice_id, self._occupancy(one))
            for one in state.slices
            if one.booted and one.incomplete_since is None and not self._occupancy(one).attempts
        ]

    def _exist(self, state: GroupState) -> int:
        """Slices that are or will be, without those that are being given back."""
        return len(state.slices) + state.creating + self._bought[state.group.name]

    def _headroom(self, state: GroupState) -> int:
        """How many more slices may be bought now."""
        coming = len(self._capacity[state.group.name].rooms)
        return state.headroom(self._exist(state), coming, self._now)

    # --- buying ---------------------------------------------------------------------------------

    def _fill_up(self, state: GroupState) -> None:
        missing = state.group.min_slices - self._exist(state)
        if missing > 0:
            self._note_reopening(state)
        for _ in range(min(missing, self._headroom(state))):
            summary = f"{state.group.name} has fewer slices than its {state.group.min_slices}."
            self._buy(state, ScalingReason.BELOW_MIN_SLICES, summary, None)

    def _buy(
        self, state: GroupState, reason: ScalingReason, summary: str, job_id: JobId | None
    ) -> None:
        self._bought[state.group.name] += 1
        self._capacity[state.group.name].add(Room.of_new_slice(state.group))
        self._decide(ScalingAction.SCALE_UP, reason, state, summary, job_id=job_id)

    def _pack_as_before(self, demand: Demand) -> None:
        """Packs what the last plan packed, as far as it still fits."""
        before = self._last_packing.get(demand.job_id)
        fits = self._fitting(demand)
        if not before or isinstance(fits, PendingReason):
            return
        for one in fits:
            if one.group.name not in before:
                continue
            if demand.gang is None:
                left = demand.tasks - self._packed(demand)
                self._spend_coming(demand, one, min(left, before[one.group.name]))
            elif not self._packed(demand):
                self._place_gang(demand, one, buy=False)

    def _serve(self, demand: Demand) -> None:
        """Packs what is left of a demand; what cannot be packed is held."""
        if demand.tasks < 1:
            return
        fits = self._fitting(demand)
        if isinstance(fits, PendingReason):
            self._hold(demand, demand.tasks, ScalingReason.NOTHING_FITS, "", fits)
            return
        if demand.gang is None:
            self._serve_singles(demand, fits)
        else:
            self._serve_gang(demand, fits)
        left = demand.tasks - self._packed(demand)
        if left:
            obstacles = [self._obstacle(one) for one in fits]
            for one in fits:
                self._note_reopening(self._groups[one.group.name])
            first = min(obstacles, key=lambda one: one.order)
            self._hold(demand, left, first.reason, first.group, unmet(demand, obstacles))
        if demand.job_id in self._packing:
            self._outlook[demand.job_id] = launching(demand, self._packing[demand.job_id])

    def _packed(self, demand: Demand) -> int:
        """How many of its tasks have capacity coming."""
        return sum(self._packing.get(demand.job_id, {}).values())

    def _pack(self, demand: Demand, group: str, tasks: int) -> None:
        if tasks:
            packed = self._packing.setdefault(demand.job_id, {})
            packed[group] = packed.get(group, 0) + tasks

    def _fitting(self, demand: Demand) -> tuple[Fit, ...] | PendingReason:
        # Only a gang's fit depends on how many tasks it has.
        key = (demand_key(demand), demand.tasks if demand.gang is not None else 0)
        fits = self._fits.get(key)
        if fits is None:
            existing = {
                name: [one.slice.slice_id for one in state.slices]
                for name, state in self._groups.items()
            }
            groups = [state.group for state in self._groups.values()]
            fits = self._fits[key] = fitting(groups, demand, existing)
        return fits

    def _serve_singles(self, demand: Demand, fits: Sequence[Fit]) -> None:
        left = demand.tasks - self._packed(demand)
        for one in fits:
            left -= self._spend_coming(demand, one, left)
        for one in fits:
            state = self._groups[one.group.name]
            while left and one.launchable and self._headroom(state):
                self._buy_for(demand, state, 1)
                left -= self._spend_coming(demand, one, left)

    def _spend_coming(self, demand: Demand, one: Fit, limit: int) -> int:
        """Packs single tasks into slices of one group that are on their way; how many found a
        place.
        """
        capacity, total = self._capacity[one.group.name], 0
        while total < limit:
            room = capacity.first_with_room(demand, 1)
            if room is None:
                break
            total += room.spend(demand, limit - total)
        self._pack(demand, one.group.name, total)
        return total

    def _serve_gang(self, demand: Demand, fits: Sequence[Fit]) -> None:
        for buy in (False, True):
            for one in fits:
                if not self._packed(demand):
                    self._place_gang(demand, one, buy=buy)

    def _place_gang(self, demand: Demand, one: Fit, *, buy: bool) -> None:
        place = self._on_one_slice if one.scope is Scope.SLICE else self._on_one_group
        if place(demand, one, buy=buy):
            self._pack(demand, one.group.name, demand.tasks)

    def _on_one_slice(self, demand: Demand, one: Fit, *, buy: bool) -> bool:
        """Packs a gang into one slice that is on its way, or into a new one."""
        capacity, state = self._capacity[one.group.name], self._groups[one.group.name]
        if buy and one.launchable and self._headroom(state):
            self._buy_for(demand, state, 1)
        room = capacity.first_with_room(demand, demand.tasks)
        if room is None:
            return False
        room.spend(demand, demand.tasks)
        return True

    def _on_one_group(self, demand: Demand, one: Fit, *, buy: bool) -> bool:
        """Packs a gang into the slices of one group: those that stand idle, those on their way, and
        new ones if that is enough.
        """
        name, state = one.group.name, self._groups[one.group.name]
        rooms = [*self._idle[name], *self._capacity[name].rooms]
        there = sum(count(room.places(demand, demand.tasks)) for room in rooms)
        missing = -(-max(0, demand.tasks - there) // one.per_slice)
        if missing and not (buy and one.launchable and missing <= self._headroom(state)):
            return False
        self._buy_for(demand, state, missing)
        left = demand.tasks
        for room in (*self._idle[name], *self._capacity[name].rooms):
            taken = room.spend(demand, left)
            left -= taken
            if taken and room.slice_id is not None:
                self._needed.add(room.slice_id)
        return True

    def _buy_for(self, demand: Demand, state: GroupState, slices: int) -> None:
        for _ in range(slices):
            tasks = "1 task" if demand.tasks == 1 else f"{demand.tasks} tasks"
            summary = f"{demand.job_id} needs room for {tasks} of {demand.resources}."
            self._buy(state, ScalingReason.DEMAND, summary, demand.job_id)

    # --- demand that is left unmet --------------------------------------------------------------

    def _obstacle(self, one: Fit) -> Obstacle:
        """Why a group that could hold a demand does not get another slice now."""
        state = self._groups[one.group.name]
        exist = self._exist(state) + state.leaving
        return Obstacle.of(state, exist, one, self._now)

    def _note_reopening(self, state: GroupState) -> None:
        """Remembers to look again when a group may buy once more."""
        if state.backoff.until is not None:
            self._wakes.append(state.backoff.until)
        if state.exhausted is not None:
            self._wakes.append(state.exhausted.retry_at)

    def _hold(
        self,
        demand: Demand,
        tasks: int,
        reason: ScalingReason,
        group: str,
        why: PendingReason,
    ) -> None:
        self._outlook[demand.job_id] = why
        what = f"{tasks} of {demand.tasks} tasks of {demand.job_id} have no capacity coming"
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

    # --- giving back ----------------------------------------------------------------------------

    def _give_back(self, state: GroupState) -> None:
        """All that have been idle for long enough, longest first, down to min_slices; and what is
        above max_slices.
        """
        spare = self._exist(state) - state.group.min_slices
        surplus = self._exist(state) - state.group.max_slices
        for idle_since, slice_id in self._idle_slices(state):
            if spare <= 0:
                return
            seconds = (self._now - idle_since).total_seconds()
            due = idle_since + self._settings.idle_timeout
            if surplus > 0:
                reason, why = ScalingReason.ABOVE_MAX_SLICES, "there are more than max_slices"
            elif due <= self._now:
                reason, why = ScalingReason.IDLE, f"it has been idle for {seconds:.0f} s"
            else:
                self._wakes.append(due)
                return
            summary = f"{slice_id} is given back: {why}."
            self._decide(ScalingAction.SCALE_DOWN, reason, state, summary, slice_id)
            spare -= 1
            surplus -= 1

    def _idle_slices(self, state: GroupState) -> list[tuple[datetime, SliceId]]:
        """The slices that could go back, longest idle first."""
        found = []
        for one in state.slices:
            seen = self._occupancy(one)
            idle = one.booted and not seen.attempts and seen.idle_since is not None
            if idle and not one.keep and one.slice.slice_id not in self._needed:
                assert seen.idle_since is not None
                found.append((seen.idle_since, one.slice.slice_id))
        return sorted(found)

    def _decide(
        self,
        action: ScalingAction,
        reason: ScalingReason,
        state: GroupState,
        summary: str,
        slice_id: SliceId | None = None,
        job_id: JobId | None = None,
    ) -> None:
        self._decisions.append(
            ScalingDecision(self._now, action, reason, state.group.name, slice_id, job_id, summary)
        )
