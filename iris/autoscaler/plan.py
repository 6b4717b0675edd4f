"""What to buy and what to give back: a pure function from demand, groups and slices, as of one
moment, to decisions.

In this order: slices that failed are cleared away; groups below `min_slices` get slices; each
demand, in the order given, is packed first into capacity that is on its way and then into new
slices, group by group in order of preference (`fit.fitting`, `serving`); spare slices are bought up
to `buffer_slices`; what is idle beyond that goes back.

A slice is on its way from the request for it until the controller's view has shown all its workers
at once. Demand and occupancy are from the same turn of the controller, so whatever workers the view
shows, the scheduler has tried them for the very demand it shows: they are not counted again. So
each slice is counted once; and demand stays packed where the last plan packed it (`packing`).

What a plan costs grows with the slices and the demands, and not with their product.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from iris.autoscaler.demand import (
    FleetView,
    ScalingAction,
    ScalingDecision,
    ScalingReason,
    SliceOccupancy,
)
from iris.autoscaler.groups import (
    Backoff,
    Exhausted,
    GroupState,
    SliceState,
    after_failed_boot,
)
from iris.autoscaler.packing import Packing
from iris.autoscaler.serving import Serving
from iris.autoscaler.settings import AutoscalerSettings
from iris.autoscaler.supply import NEVER_SEEN, Supply
from iris.model.fleet import VmState
from iris.model.ids import JobId, SliceId
from iris.model.pending import PendingReason

NO_PACKING = Packing()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now.

    Attributes:
        decisions: SCALE_UP is one slice of `scale_group`; SCALE_DOWN is about `slice_id`:
            BOOT_FAILED and SLICE_LOST ones are gone or useless whatever runs there, the others only
            go if they have nothing to do; HOLD is a demand left unmet.
        backoffs: Of the groups for which it changed.
        exhausted: Of the groups of which this has shown that there is no capacity.
        outlook: What is done about each demand, by its job_id.
        packing: What was packed where. Handed to the next plan, which begins with it.
        wake_at: When the same input would give another plan; None: never.
    """

    decisions: tuple[ScalingDecision, ...] = ()
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    exhausted: Mapping[str, Exhausted] = field(default_factory=dict)
    outlook: Mapping[JobId, PendingReason] = field(default_factory=dict)
    packing: Packing = NO_PACKING
    wake_at: datetime | None = None


def plan(
    view: FleetView,
    groups: Sequence[GroupState],
    settings: AutoscalerSettings,
    now: datetime,
    packing: Packing = NO_PACKING,
) -> Plan:
    """One plan. What earlier ones began is in `groups`; `packing` is the last one's, if there was
    one.

    What stays packed where it was can leave holes, once what it shared a slice with is gone: a plan
    that would buy is made anew as well, and taken if it does with less.
    """
    made = _Planning(view, groups, settings, now, packing).run()
    if not packing.grants or not (bought := _bought(made)):
        return made
    anew = _Planning(view, groups, settings, now, NO_PACKING).run()
    return anew if _bought(anew) < bought and _held(anew) <= _held(made) else made


def _held(made: Plan) -> int:
    """How many demands have no capacity coming, at least for some of their tasks."""
    return sum(one.action is ScalingAction.HOLD for one in made.decisions)


def _bought(made: Plan) -> Counter[str]:
    """Slices for tasks, by group. Compared as multisets: less is less in one group and no more in any."""
    return Counter(
        one.scale_group
        for one in made.decisions
        if one.action is ScalingAction.SCALE_UP and one.reason.is_for_demand
    )


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
        self._settings = settings
        self._now = now
        self._decisions: list[ScalingDecision] = []
        self._wakes: list[datetime] = []
        self._backoffs: dict[str, Backoff] = {}
        self._exhausted: dict[str, Exhausted] = {}
        self._supplies = {
            one.group.name: Supply(self._clear_failed(one), view.slices, settings, now)
            for one in groups
        }
        self._serving = Serving(self._supplies, now, self._decisions, packing)

    def run(self) -> Plan:
        for supply in self._supplies.values():
            self._fill_up(supply)
        self._serving.serve(self._view.demands)
        for supply in self._supplies.values():
            self._fill_buffer(supply)
            self._give_back(supply)
        wakes = [moment for moment in (*self._wakes, *self._serving.wakes) if moment > self._now]
        return Plan(
            decisions=tuple(self._decisions),
            backoffs=self._backoffs,
            exhausted=self._exhausted,
            outlook=self._serving.outlook,
            packing=self._serving.packing(),
            wake_at=min(wakes, default=None),
        )

    # --- slices that failed ---------------------------------------------------------------------

    def _clear_failed(self, state: GroupState) -> GroupState:
        """Decides about slices that are gone or did not come up; the group without them."""
        left: list[SliceState] = []
        leaving = state.leaving
        for one in state.slices:
            reason, problem = self._failure(one)
            if reason is None:
                left.append(one)
                continue
            leaving += not one.slice.state.is_gone
            if reason is ScalingReason.BOOT_FAILED:
                state = self._failed_boot(state, problem)
            elif not one.booted:
                state = self._taken_back(state, one.slice.slice_id)
            summary = f"{one.slice.slice_id} is given up: {problem}."
            self._decide(ScalingAction.SCALE_DOWN, reason, state, summary, one.slice.slice_id)
        return replace(state, slices=tuple(left), leaving=leaving)

    def _failure(self, one: SliceState) -> tuple[ScalingReason | None, str]:
        # A cloud that takes a slice back while it boots lacks capacity: the slice is not to blame.
        is_lost = one.booted or one.slice.state is VmState.PREEMPTED
        reason = ScalingReason.SLICE_LOST if is_lost else ScalingReason.BOOT_FAILED
        if one.slice.state.is_gone:
            what = f"it {'was' if is_lost else 'came up'} {one.slice.state.value}"
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

    def _occupancy(self, one: SliceState) -> SliceOccupancy:
        return self._view.slices.get(one.slice.slice_id, NEVER_SEEN)

    def _failed_boot(self, state: GroupState, problem: str) -> GroupState:
        backoff = after_failed_boot(state.backoff, problem, self._now, self._settings)
        self._backoffs[state.group.name] = backoff
        return replace(state, backoff=backoff)

    def _taken_back(self, state: GroupState, slice_id: SliceId) -> GroupState:
        problem = f"{slice_id} was taken back while it booted"
        exhausted = Exhausted(problem, self._now + self._settings.interval)
        self._exhausted[state.group.name] = exhausted
        return replace(state, exhausted=exhausted)

    # --- min_slices and buffer_slices -------------------------------------------------------------

    def _fill_up(self, supply: Supply) -> None:
        group = supply.state.group
        missing = group.min_slices - supply.exist
        summary = f"{group.name} has fewer slices than its {group.min_slices}."
        self._buy_missing(supply, missing, ScalingReason.BELOW_MIN_SLICES, summary)

    def _fill_buffer(self, supply: Supply) -> None:
        group = supply.state.group
        if not group.buffer_slices:
            return
        spare = supply.spare()
        summary = f"{group.name} has {spare} of {group.buffer_slices} spare slices."
        self._buy_missing(supply, group.buffer_slices - spare, ScalingReason.BUFFER, summary)

    def _buy_missing(
        self, supply: Supply, missing: int, reason: ScalingReason, summary: str
    ) -> None:
        for _ in range(min(missing, supply.headroom(self._now))):
            self._serving.buy(supply, reason, summary, None)
        if missing > 0:
            self._serving.note_reopening(supply)

    # --- giving back ----------------------------------------------------------------------------

    def _give_back(self, supply: Supply) -> None:
        """All that have been idle for long enough, longest first, down to min_slices and to
        buffer_slices that are spare; and what is above max_slices.
        """
        state = supply.state
        spare = supply.exist - state.group.min_slices
        surplus = supply.exist - state.group.max_slices
        # Those that are ready are what the buffer is made of.
        buffer = state.group.buffer_slices
        extra = supply.spare() - buffer if buffer else supply.exist
        for idle_since, slice_id, is_ready in self._idle_slices(supply):
            if spare <= 0:
                return
            if is_ready and extra <= 0 and surplus <= 0:
                continue
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
            extra -= is_ready

    def _idle_slices(self, supply: Supply) -> list[tuple[datetime, SliceId, bool]]:
        """The slices that could go back, longest idle first, and whether they are ready for work."""
        found = []
        for one in supply.state.slices:
            seen = self._occupancy(one)
            idle = one.booted and not seen.attempts and seen.idle_since is not None
            if idle and not one.keep and one.slice.slice_id not in supply.needed:
                assert seen.idle_since is not None
                found.append((seen.idle_since, one.slice.slice_id, supply.is_ready(one)))
        return sorted(found)

    def _decide(
        self,
        action: ScalingAction,
        reason: ScalingReason,
        state: GroupState,
        summary: str,
        slice_id: SliceId,
    ) -> None:
        self._decisions.append(
            ScalingDecision(self._now, action, reason, state.group.name, slice_id, summary=summary)
        )
