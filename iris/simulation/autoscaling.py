"""Carries the autoscaler's plans out in virtual time: what iris.autoscaler.autoscaler does with
tasks and awaits, done with callbacks.

The plan, what is remembered of groups and slices between two plans (`ManagedGroup`) and what of it
outlives the process (`GroupMemory`) is the real code; only the calls are made here.
"""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol, cast

from iris.autoscaler.demand import (
    FleetView,
    ScalingAction,
    ScalingDecision,
    ScalingReport,
)
from iris.autoscaler.memory import GroupMemory
from iris.autoscaler.pace import pause_after_plan
from iris.autoscaler.plan import NO_PACKING, plan
from iris.autoscaler.settings import AutoscalerSettings
from iris.autoscaler.slices import GIVE_UP, ManagedGroup, ManagedSlice
from iris.model.errors import DeadlineExceeded, IrisError, ResourceExhausted
from iris.model.fleet import ScaleGroup
from iris.model.ids import JobId, SliceId
from iris.model.pending import PendingReason
from iris.platforms.protocols import VmGroupProtocol, VmManagerProtocol
from iris.simulation.clock import Agenda, Entry, VirtualClock
from iris.simulation.cloud import Cloud, SimulatedSlice


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


class Memory(Protocol):
    """iris.autoscaler.memory.ScalingMemory, without waiting."""

    def load_scaling(self) -> Mapping[str, bytes]:
        """See ScalingMemory."""

    def save_scaling(self, records: Mapping[str, bytes]) -> None:
        """See ScalingMemory."""


class _Slots:
    """So many calls at once, the others in order: see iris.autoscaler.calls.PlatformCalls."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: deque[Callable[[], None]] = deque()

    def take(self, begin: Callable[[], None]) -> None:
        """Begins a call when it is its turn."""
        if not self._free:
            self._waiting.append(begin)
            return
        self._free -= 1
        begin()

    def give(self) -> None:
        """A call has ended."""
        if self._waiting:
            self._waiting.popleft()()
        else:
            self._free += 1


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
        memory: Memory,
    ) -> None:
        self._cloud = cloud
        self._fleet = fleet
        self._settings = settings
        self._agenda = agenda
        self._clock = clock
        self._witness = witness
        self._memory = memory
        self._groups = {name: _managed(group, settings) for name, group in cloud.groups.items()}
        limit = settings.max_parallel_calls
        self._asking = {name: _Slots(limit) for name in self._groups}
        self._ending = {name: _Slots(limit) for name in self._groups}
        self._recall()
        self._view = FleetView()
        self._packing = NO_PACKING
        self._outlook: Mapping[JobId, PendingReason] | None = None
        self._wake: Entry | None = None
        self._alive = True
        self._listed = 0
        self._next_turn_at = 0.0

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

    # --- memory ---------------------------------------------------------------------------------

    def _recall(self) -> None:
        found = self._memory.load_scaling()
        for name, group in self._groups.items():
            if name in found:
                group.recall(GroupMemory.from_bytes(found[name]), self._clock.now())
        self._saved = {name: group.signature() for name, group in self._groups.items()}

    def _remember(self) -> None:
        now = {name: group.signature() for name, group in self._groups.items()}
        changed = [name for name in now if now[name] != self._saved[name]]
        if changed:
            records = {name: self._groups[name].memory().to_bytes() for name in changed}
            self._memory.save_scaling(records)
            self._saved = now

    def knows(self) -> set[SliceId]:
        """The slices that it looks after."""
        return {slice_id for group in self._groups.values() for slice_id in group.slices}

    # --- the loop -------------------------------------------------------------------------------

    def _turn_soon(self) -> None:
        if self._alive and self._listed >= len(self._groups):
            if self._wake is not None:
                self._wake.cancel()
            self._wake = self._agenda.at(max(self._agenda.now, self._next_turn_at), self._turn)

    def _turn(self) -> None:
        self._wake = None
        slices = sum(len(group.slices) for group in self._groups.values())
        self._next_turn_at = self._agenda.now + pause_after_plan(slices)
        now = self._clock.now()
        for group in self._groups.values():
            group.look(self._view, now)
        states = [group.state() for group in self._groups.values()]
        made = plan(self._view, states, self._settings, now, self._packing)
        self._packing = made.packing
        for name, backoff in made.backoffs.items():
            self._groups[name].backoff = backoff
        for name, exhausted in made.exhausted.items():
            self._groups[name].exhausted = exhausted
        self._witness.planned(self._view, made.decisions)
        for decision in made.decisions:
            if decision.action is ScalingAction.SCALE_UP:
                self._create(self._groups[decision.scale_group])
            elif decision.action is ScalingAction.SCALE_DOWN:
                self._let_go(self._groups[decision.scale_group], decision)
        self._remember()
        if made.outlook != self._outlook:
            self._outlook = made.outlook
            groups = tuple(group.report() for group in self._groups.values())
            self._fleet.scaling_changed(ScalingReport(groups, (), made.outlook))
        if made.wake_at is not None and self._wake is None:
            seconds = max(0.0, (made.wake_at - now).total_seconds())
            at = max(self._agenda.now + seconds, self._next_turn_at)
            self._wake = self._agenda.at(at, self._turn)

    # --- slices that come -----------------------------------------------------------------------

    def _create(self, group: ManagedGroup) -> None:
        finds_out = group.ask(self._clock.now())
        slots = self._asking[group.name]

        def begin() -> None:
            if not self._alive:
                return
            if group.exhausted is not None and not finds_out:
                # Another was refused while this one waited for its turn.
                group.unasked(self._clock.now())
                refusal = ResourceExhausted(group.exhausted.problem)
                self._agenda.at(self._agenda.now, lambda: done(refusal))
                return
            self._cloud.create(group.name, done)

        def done(answer: SimulatedSlice | IrisError) -> None:
            if not self._alive:
                return
            slots.give()
            self._created(group, answer, finds_out=finds_out)

        slots.take(begin)

    def _created(
        self, group: ManagedGroup, answer: SimulatedSlice | IrisError, *, finds_out: bool
    ) -> None:
        now = self._clock.now()
        if isinstance(answer, SimulatedSlice):
            group.granted(finds_out=finds_out)
            self._adopt(group, answer)
        elif isinstance(answer, ResourceExhausted):
            group.refused(answer.problem, now)
        else:
            group.request_failed(str(answer), now)
            self._remember()
            if isinstance(answer, DeadlineExceeded):
                # It may have been bought nevertheless: until that is known it counts as being
                # created.
                self._find_strays(group, self._settings.backoff_min)
                return
        group.creating -= 1
        self._turn_soon()

    def _adopt(self, group: ManagedGroup, one: SimulatedSlice) -> None:
        # What is called here of it, it has.
        made = group.adopt(cast(VmGroupProtocol, one), self._clock.now())
        if made is not None:
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
                for one in answer:
                    self._adopt(group, one)
                group.listed()
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
        managed = group.let_go(decision.slice_id, decision.reason, self._clock.now())
        if decision.reason in GIVE_UP:
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
        slice_id, slots = managed.vm_group.slice_id, self._ending[group.name]
        frees_room = managed.frees_room

        def done(error: IrisError | None) -> None:
            if not self._alive:
                return
            slots.give()
            if error is not None:
                managed.problem = f"it could not be ended: {error}"
                longer = min(rest * 2, self._settings.backoff_max)
                self._agenda.after(
                    rest.total_seconds(), lambda: self._terminate(group, managed, longer, gone)
                )
                return
            gone()
            group.forget(slice_id)
            _cloud_slice(managed).on_change = _nothing
            if frees_room:
                for other in self._groups.values():
                    other.room_came(self._clock.now())
            self._turn_soon()

        if self._alive:
            slots.take(lambda: self._cloud.terminate(slice_id, done))


def _managed(group: ScaleGroup, settings: AutoscalerSettings) -> ManagedGroup:
    return ManagedGroup(cast(VmManagerProtocol, _Manager(group)), settings)


def _cloud_slice(managed: ManagedSlice) -> SimulatedSlice:
    return cast(SimulatedSlice, managed.vm_group)


def _nothing() -> None:
    pass
