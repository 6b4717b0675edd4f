"""Carries the autoscaler's plans out in virtual time: what iris.autoscaler.autoscaler does with
tasks and awaits, done with callbacks.

The plan, and what is remembered of groups and slices between two plans (`ManagedGroup`), is the
real code; only the calls are made here.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol, cast

from iris.autoscaler.calls import PlatformCalls
from iris.autoscaler.demand import (
    FleetView,
    ScalingAction,
    ScalingDecision,
    ScalingReason,
    ScalingReport,
)
from iris.autoscaler.groups import Exhausted, after_failed_boot
from iris.autoscaler.plan import NO_PACKING, plan
from iris.autoscaler.settings import AutoscalerSettings
from iris.autoscaler.slices import ManagedGroup, ManagedSlice
from iris.model.errors import DeadlineExceeded, IrisError, ResourceExhausted
from iris.model.fleet import ScaleGroup
from iris.model.ids import JobId, SliceId
from iris.model.pending import PendingReason
from iris.platforms.protocols import VmGroupProtocol, VmManagerProtocol
from iris.simulation.clock import Agenda, Entry, VirtualClock
from iris.simulation.cloud import Cloud, SimulatedSlice

_GIVE_UP = (ScalingReason.BOOT_FAILED, ScalingReason.SLICE_LOST)


class Fleet(Protocol):
    """What is asked of the controller: iris.autoscaler.demand.Fleet, with answers that come later."""

    def drain_slice(self, slice_id: SliceId, done: Callable[[bool], None]) -> None:
        """See iris.autoscaler.demand.Fleet."""

    def slice_gone(self, slice_id: SliceId, reason: str, done: Callable[[], None]) -> None:
        """See iris.autoscaler.demand.Fleet."""

    def scaling_changed(self, report: ScalingReport) -> None:
        """See iris.autoscaler.demand.Fleet."""


class PlanWitness(Protocol):
    """Who wants to know what was decided, and from what."""

    def observed(self, view: FleetView) -> None:
        """A view of this very moment."""

    def planned(self, view: FleetView, decisions: tuple[ScalingDecision, ...]) -> None:
        """One plan, made from this view."""


class _Manager:
    """What a ManagedGroup knows of its platform here: the kind of slice."""

    def __init__(self, group: ScaleGroup) -> None:
        self.scale_group = group


class SimulatedAutoscaler:
    """Of one process of the controller. When that dies it is not heard of again; what it has bought
    exists.
    """

    def __init__(
        self,
        cloud: Cloud,
        fleet: Fleet,
        settings: AutoscalerSettings,
        *,
        agenda: Agenda,
        clock: VirtualClock,
        witness: PlanWitness,
    ) -> None:
        self._cloud = cloud
        self._fleet = fleet
        self._settings = settings
        self._agenda = agenda
        self._clock = clock
        self._witness = witness
        self._groups = {
            name: _managed(group, clock, settings) for name, group in cloud.groups.items()
        }
        self._view = FleetView()
        self._packing = NO_PACKING
        self._outlook: Mapping[JobId, PendingReason] | None = None
        self._wake: Entry | None = None
        self._alive = True
        self._listed = 0

    def start(self, listed: Callable[[], None]) -> None:
        """Adopts what exists; `listed` is called once every group has been asked, well or not."""
        for group in self._groups.values():
            self._list(group, self._settings.backoff_min, listed)

    def stop(self) -> None:
        """Its process is no more."""
        self._alive = False
        if self._wake is not None:
            self._wake.cancel()
        for group in self._groups.values():
            for one in group.slices.values():
                _cloud_slice(one).on_change = _nothing

    def observe(self, view: FleetView) -> None:
        """See iris.autoscaler.demand.CapacityPlanner."""
        self._view = view
        self._witness.observed(view)
        for group in self._groups.values():
            for one in group.slices.values():
                one.keep = False
        self._turn_soon()

    def knows(self) -> set[SliceId]:
        """The slices that it looks after."""
        return {slice_id for group in self._groups.values() for slice_id in group.slices}

    # --- the loop -------------------------------------------------------------------------------

    def _turn_soon(self) -> None:
        if self._alive and self._listed >= len(self._groups):
            if self._wake is not None:
                self._wake.cancel()
            self._wake = self._agenda.at(self._agenda.now, self._turn)

    def _turn(self) -> None:
        self._wake = None
        now = self._clock.now()
        for group in self._groups.values():
            group.look(self._view, now)
        states = [group.state() for group in self._groups.values()]
        made = plan(self._view, states, self._settings, now, self._packing)
        self._packing = made.packing
        for name, backoff in made.backoffs.items():
            self._groups[name].backoff = backoff
        self._witness.planned(self._view, made.decisions)
        for decision in made.decisions:
            if decision.action is ScalingAction.SCALE_UP:
                self._create(self._groups[decision.scale_group])
            elif decision.action is ScalingAction.SCALE_DOWN:
                self._let_go(self._groups[decision.scale_group], decision)
        if made.outlook != self._outlook:
            self._outlook = made.outlook
            groups = tuple(group.report() for group in self._groups.values())
            self._fleet.scaling_changed(ScalingReport(groups, (), made.outlook))
        if made.wake_at is not None and self._wake is None:
            seconds = max(0.0, (made.wake_at - now).total_seconds())
            self._wake = self._agenda.after(seconds, self._turn)

    # --- slices that come -----------------------------------------------------------------------

    def _create(self, group: ManagedGroup) -> None:
        group.creating += 1

        def done(answer: SimulatedSlice | IrisError) -> None:
            if not self._alive:
                return
            now = self._clock.now()
            if isinstance(answer, SimulatedSlice):
                self._adopt(group, answer)
            elif isinstance(answer, ResourceExhausted):
                group.exhausted = Exhausted(answer.problem, now + self._settings.interval)
            else:
                group.backoff = after_failed_boot(group.backoff, str(answer), now, self._settings)
                if isinstance(answer, DeadlineExceeded):
                    # It may have been bought nevertheless: until that is known it counts as being
                    # created.
                    self._find_strays(group, self._settings.backoff_min)
                    return
            group.creating -= 1
            self._turn_soon()

        self._cloud.create(group.name, done)

    def _adopt(self, group: ManagedGroup, one: SimulatedSlice) -> None:
        if one.slice_id in group.slices:
            return
        vm_group = cast(VmGroupProtocol, one)  # what is called here of it, it has
        group.slices[one.slice_id] = ManagedSlice(vm_group, incomplete_since=self._clock.now())
        one.on_change = self._turn_soon
        self._turn_soon()

    def _list(self, group: ManagedGroup, rest: timedelta, listed: Callable[[], None]) -> None:
        first = group.unlisted.startswith("its slices from before")

        def done(answer: list[SimulatedSlice] | IrisError) -> None:
            if not self._alive:
                return
            if isinstance(answer, IrisError):
                group.unlisted = f"its slices could not be listed: {answer}"
                longer = min(rest * 2, self._settings.backoff_max)
                self._agenda.after(rest.total_seconds(), lambda: self._list(group, longer, listed))
            else:
                group.unlisted = ""
                for one in answer:
                    self._adopt(group, one)
            if first:
                self._listed += 1
                if self._listed == len(self._groups):
                    listed()
            self._turn_soon()

        if self._alive:
            self._cloud.discover(group.name, done)

    def _find_strays(self, group: ManagedGroup, rest: timedelta) -> None:
        def done(answer: list[SimulatedSlice] | IrisError) -> None:
            if not self._alive:
                return
            if isinstance(answer, IrisError):
                longer = min(rest * 2, self._settings.backoff_max)
                self._agenda.after(rest.total_seconds(), lambda: self._find_strays(group, longer))
                return
            for one in answer:
                self._adopt(group, one)
            group.creating -= 1
            self._turn_soon()

        if self._alive:
            self._cloud.discover(group.name, done)

    # --- slices that go -------------------------------------------------------------------------

    def _let_go(self, group: ManagedGroup, decision: ScalingDecision) -> None:
        assert decision.slice_id is not None
        managed = group.slices[decision.slice_id]
        managed.leaving = True
        if decision.reason in _GIVE_UP:
            # Its attempts are lost already: they need not wait for the platform.
            self._fleet.slice_gone(
                decision.slice_id,
                decision.summary,
                lambda: self._terminate(group, managed, self._settings.backoff_min, _nothing),
            )
            return

        def drained(done: bool) -> None:
            if not self._alive:
                return
            if not done:
                managed.leaving, managed.keep = False, True
                self._turn_soon()
                return
            self._terminate(
                group,
                managed,
                self._settings.backoff_min,
                lambda: self._fleet.slice_gone(slice_id, decision.summary, _nothing),
            )

        slice_id = decision.slice_id
        self._fleet.drain_slice(slice_id, drained)

    def _terminate(
        self,
        group: ManagedGroup,
        managed: ManagedSlice,
        rest: timedelta,
        gone: Callable[[], None],
    ) -> None:
        """Ends a slice, however often it takes: it costs money until it is gone."""
        slice_id = managed.vm_group.slice_id

        def done(error: IrisError | None) -> None:
            if not self._alive:
                return
            if error is not None:
                managed.problem = f"it could not be ended: {error}"
                longer = min(rest * 2, self._settings.backoff_max)
                self._agenda.after(
                    rest.total_seconds(), lambda: self._terminate(group, managed, longer, gone)
                )
                return
            gone()
            del group.slices[slice_id]
            _cloud_slice(managed).on_change = _nothing
            for other in self._groups.values():
                # What it had may be what they lack.
                other.exhausted = None
            self._turn_soon()

        if self._alive:
            self._cloud.terminate(slice_id, done)


def _managed(group: ScaleGroup, clock: VirtualClock, settings: AutoscalerSettings) -> ManagedGroup:
    calls = PlatformCalls(clock, settings.call_timeout, settings.max_parallel_calls)
    return ManagedGroup(cast(VmManagerProtocol, _Manager(group)), calls)


def _cloud_slice(managed: ManagedSlice) -> SimulatedSlice:
    return cast(SimulatedSlice, managed.vm_group)


def _nothing() -> None:
    pass
