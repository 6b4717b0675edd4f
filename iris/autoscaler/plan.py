"""What to buy and what to give back: a pure function from demand, groups and slices, as of one
moment, to decisions.

In this order: slices that failed are cleared away; groups below `min_slices` get slices; each
demand, in the order given, is packed first into capacity that is on its way and then into new
slices, group by group in order of preference (`fit.fitting`, `serving`); what is idle goes back.

A slice is on its way from the request for it until the controller's view has shown all its workers
at once. Demand and occupancy are from the same turn of the controller, so whatever workers the view
shows, the scheduler has tried them for the very demand it shows: they are not counted again. So
each slice is counted once; and demand stays packed where the last plan packed it (`packing`).

What a plan costs grows with the slices and the demands, and not with their product.
"""

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
from iris.autoscaler.groups import Backoff, GroupState, SliceState, after_failed_boot
from iris.autoscaler.packing import Packing
from iris.autoscaler.serving import Serving
from iris.autoscaler.settings import AutoscalerSettings
from iris.autoscaler.supply import NEVER_SEEN, Supply
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
        outlook: What is done about each demand, by its job_id.
        packing: What was packed where. Handed to the next plan, which begins with it.
        wake_at: When the same input would give another plan; None: never.
    """

    decisions: tuple[ScalingDecision, ...] = ()
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
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
        self._settings = settings
        self._now = now
        self._decisions: list[ScalingDecision] = []
        self._wakes: list[datetime] = []
        self._backoffs: dict[str, Backoff] = {}
        self._supplies = {
            one.group.name: Supply(self._clear_failed(one), view.slices) for one in groups
        }
        self._serving = Serving(self._supplies, now, self._decisions, packing)

    def run(self) -> Plan:
        for supply in self._supplies.values():
            self._fill_up(supply)
        self._serving.serve(self._view.demands)
        for supply in self._supplies.values():
            self._give_back(supply)
        wakes = [moment for moment in (*self._wakes, *self._serving.wakes) if moment > self._now]
        return Plan(
            decisions=tuple(self._decisions),
            backoffs=self._backoffs,
            outlook=self._serving.outlook,
            packing=self._serving.packing(),
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

    def _occupancy(self, one: SliceState) -> SliceOccupancy:
        return self._view.slices.get(one.slice.slice_id, NEVER_SEEN)

    def _failed_boot(self, state: GroupState, problem: str) -> GroupState:
        backoff = after_failed_boot(state.backoff, problem, self._now, self._settings)
        self._backoffs[state.group.name] = backoff
        return replace(state, backoff=backoff)

    # --- min_slices -----------------------------------------------------------------------------

    def _fill_up(self, supply: Supply) -> None:
        state = supply.state
        missing = state.group.min_slices - supply.exist
        if missing > 0:
            self._serving.note_reopening(supply)
        for _ in range(min(missing, supply.headroom(self._now))):
            summary = f"{state.group.name} has fewer slices than its {state.group.min_slices}."
            self._serving.buy(supply, ScalingReason.BELOW_MIN_SLICES, summary, None)

    # --- giving back ----------------------------------------------------------------------------

    def _give_back(self, supply: Supply) -> None:
        """All that have been idle for long enough, longest first, down to min_slices; and what is
        above max_slices.
        """
        state = supply.state
        spare = supply.exist - state.group.min_slices
        surplus = supply.exist - state.group.max_slices
        for idle_since, slice_id in self._idle_slices(supply):
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

    def _idle_slices(self, supply: Supply) -> list[tuple[datetime, SliceId]]:
        """The slices that could go back, longest idle first."""
        found = []
        for one in supply.state.slices:
            seen = self._occupancy(one)
            idle = one.booted and not seen.attempts and seen.idle_since is not None
            if idle and not one.keep and one.slice.slice_id not in supply.needed:
                assert seen.idle_since is not None
                found.append((seen.idle_since, one.slice.slice_id))
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
