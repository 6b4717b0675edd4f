"""What the autoscaler remembers of each scale group and its slices between two plans."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from iris.autoscaler.calls import PlatformCalls
from iris.autoscaler.demand import FleetView, ScaleGroupReport
from iris.autoscaler.groups import NO_BACKOFF, Backoff, Exhausted, GroupState, SliceState
from iris.model.fleet import Slice, VmState
from iris.model.ids import SliceId
from iris.platforms.protocols import VmGroupProtocol, VmManagerProtocol


@dataclass(slots=True, eq=False)
class ManagedSlice:
    """One slice that exists. See SliceState for what is not said here.

    Attributes:
        leaving: It is being given back, or cleared away.
        problem: What went wrong in giving it back.
        watcher: Wakes the autoscaler whenever the platform says that it has changed.
    """

    vm_group: VmGroupProtocol
    incomplete_since: datetime | None
    booted: bool = False
    keep: bool = False
    leaving: bool = False
    problem: str = ""
    watcher: asyncio.Task[None] | None = None

    def value(self) -> Slice:
        """The slice now."""
        state = self.vm_group.status()
        if self.leaving and not state.is_gone:
            state = VmState.STOPPING
        return Slice(
            self.vm_group.slice_id,
            self.vm_group.scale_group,
            state,
            self.vm_group.created_at,
            self.vm_group.vms(),
            self.problem or self.vm_group.problem(),
        )


@dataclass(slots=True, eq=False)
class ManagedGroup:
    """One scale group. See GroupState for what is not said here."""

    manager: VmManagerProtocol
    calls: PlatformCalls
    slices: dict[SliceId, ManagedSlice] = field(default_factory=dict)
    creating: int = 0
    backoff: Backoff = NO_BACKOFF
    exhausted: Exhausted | None = None
    unlisted: str = "its slices from before are being looked up"

    @property
    def name(self) -> str:
        """Of the scale group."""
        return self.manager.scale_group.name

    def look(self, view: FleetView, now: datetime) -> None:
        """Takes note of what the view shows of the slices."""
        wanted = self.manager.scale_group.vms_per_slice
        if self.exhausted is not None and self.exhausted.retry_at <= now:
            self.exhausted = None
        for slice_id, one in self.slices.items():
            seen = view.slices.get(slice_id)
            if one.leaving:
                continue
            if seen is None or seen.workers < wanted:
                one.incomplete_since = one.incomplete_since or now
                continue
            one.incomplete_since = None
            if not one.booted:
                one.booted = True
                self.backoff = NO_BACKOFF

    def state(self) -> GroupState:
        """The group for a plan."""
        staying = [one for one in self.slices.values() if not one.leaving]
        return GroupState(
            self.manager.scale_group,
            tuple(
                SliceState(one.value(), one.booted, one.incomplete_since, one.keep)
                for one in staying
            ),
            creating=self.creating,
            leaving=len(self.slices) - len(staying),
            backoff=self.backoff,
            exhausted=self.exhausted,
            unlisted=self.unlisted,
        )

    def report(self) -> ScaleGroupReport:
        """The group for people."""
        problem = self.unlisted or self.backoff.problem
        if not problem and self.exhausted is not None:
            problem = self.exhausted.problem
        slices = tuple(one.value() for one in self.slices.values())
        return ScaleGroupReport(self.manager.scale_group, slices, problem)
