"""What the autoscaler remembers of each scale group and its slices between two plans."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime

from iris.autoscaler.demand import FleetView, ScaleGroupReport, ScalingReason
from iris.autoscaler.groups import (
    NO_BACKOFF,
    Backoff,
    Exhausted,
    GroupState,
    SliceState,
    after_boot,
    after_failed_boot,
)
from iris.autoscaler.health import UNKNOWN_HEALTH, Fate, Health
from iris.autoscaler.memory import BootedSlice, GroupMemory
from iris.autoscaler.pace import NO_PACE, Pace
from iris.autoscaler.settings import AutoscalerSettings
from iris.model.fleet import Slice, VmState
from iris.model.ids import SliceId, WorkerId
from iris.platforms.protocols import VmGroupProtocol, VmManagerProtocol

# Slices that are of no use whatever runs there: they are not asked to drain first.
GIVE_UP = (ScalingReason.BOOT_FAILED, ScalingReason.SLICE_LOST)


@dataclass(slots=True, eq=False)
class ManagedSlice:
    """One slice that exists. See SliceState for what is not said here.

    Attributes:
        booted: When all its workers were there at once for the first time, and whether it is
            judged.
        leaving: It is being given back, or cleared away.
        problem: What went wrong in giving it back.
        health: What its platform was told of its workers' health.
        watcher: Wakes the autoscaler whenever the platform says that it has changed.
    """

    vm_group: VmGroupProtocol
    incomplete_since: datetime | None
    booted: BootedSlice | None = None
    keep: bool = False
    leaving: bool = False
    problem: str = ""
    health: tuple[tuple[WorkerId, str], ...] = ()
    watcher: asyncio.Task[None] | None = None

    @property
    def frees_room(self) -> bool:
        """Whether there is room for others once it has gone: what a cloud took back, it has given
        to somebody else.
        """
        return self.vm_group.status() is not VmState.PREEMPTED

    def tell_health(self, problems: tuple[tuple[WorkerId, str], ...]) -> None:
        """Tells its platform what is wrong with its workers, if that is news."""
        if problems != self.health:
            self.health = problems
            self.vm_group.note_health(dict(problems))

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
    """One scale group. See GroupState for what is not said here.

    Attributes:
        creating: Slices that were asked for and have no name yet.
        churn: Why other groups are preferred, as of the last `look`.
    """

    manager: VmManagerProtocol
    settings: AutoscalerSettings
    slices: dict[SliceId, ManagedSlice] = field(default_factory=dict)
    creating: int = 0
    backoff: Backoff = NO_BACKOFF
    exhausted: Exhausted | None = None
    health: Health = UNKNOWN_HEALTH
    pace: Pace = NO_PACE
    unlisted: str = "its slices from before are being looked up"
    churn: str = ""
    _booted_before: dict[SliceId, BootedSlice] = field(default_factory=dict)
    _boots_changed: int = 0

    @property
    def name(self) -> str:
        """Of the scale group."""
        return self.manager.scale_group.name

    # --- memory ---------------------------------------------------------------------------------

    def recall(self, memory: GroupMemory, now: datetime) -> None:
        """Takes over what an earlier process knew, before anything is adopted. No rest is longer
        than one that begins now could be, whatever that process took for the time.
        """
        self.backoff, self.exhausted = memory.backoff, memory.exhausted
        if self.backoff.until is not None:
            until = min(self.backoff.until, now + self.settings.backoff_max)
            self.backoff = replace(self.backoff, until=until)
        if self.exhausted is not None:
            retry_at = min(self.exhausted.retry_at, now + self.settings.interval)
            self.exhausted = replace(self.exhausted, retry_at=retry_at)
        self.health, self.pace = memory.health, memory.pace
        self._booted_before = dict(memory.booted)

    def memory(self) -> GroupMemory:
        """For a process that comes later."""
        # While it is not known what there is, nothing of it is forgotten.
        booted = dict(self._booted_before)
        booted |= {
            slice_id: one.booted for slice_id, one in self.slices.items() if one.booted is not None
        }
        return GroupMemory(self.backoff, self.exhausted, self.health, self.pace, booted)

    def signature(self) -> tuple[object, ...]:
        """Changes whenever `memory` does; quick to compare."""
        return self.backoff, self.exhausted, self.health, self.pace, self._boots_changed

    # --- what happens to it ---------------------------------------------------------------------

    def look(self, view: FleetView, now: datetime) -> None:
        """Takes note of what the view shows of the slices."""
        wanted = self.manager.scale_group.vms_per_slice
        refused, patience = self.exhausted, self.settings.interval
        if refused and not self.creating and refused.retry_at + patience <= now:
            # Nobody has wanted a slice since it could be asked again.
            self.exhausted = None
        for slice_id, one in self.slices.items():
            seen = view.slices.get(slice_id)
            if one.leaving:
                continue
            one.tell_health(() if seen is None else seen.problems)
            self._judge(one, now)
            if seen is None or seen.workers < wanted:
                one.incomplete_since = one.incomplete_since or now
                continue
            one.incomplete_since = None
            if one.booted is None:
                one.booted = BootedSlice(now)
                self._boots_changed += 1
                self.backoff = after_boot(self.backoff)
        self.churn = self.health.churn(now, self.settings)

    def listed(self) -> None:
        """The platform has said what there is, and all of that is adopted: what else is remembered
        is gone, and its name may be another slice's one day.
        """
        self.unlisted = ""
        self._boots_changed += len(self._booted_before)
        self._booted_before.clear()

    def adopt(self, vm_group: VmGroupProtocol, now: datetime) -> ManagedSlice | None:
        """Looks after a slice from now on; None if it did before."""
        slice_id = vm_group.slice_id
        if slice_id in self.slices:
            return None
        booted = self._booted_before.pop(slice_id, None)
        made = ManagedSlice(vm_group, incomplete_since=now, booted=booted)
        self.slices[slice_id] = made
        return made

    def forget(self, slice_id: SliceId) -> ManagedSlice:
        """It is gone for good."""
        self._boots_changed += 1
        return self.slices.pop(slice_id)

    def ask(self, now: datetime) -> bool:
        """A slice is asked for; whether this finds out if there are any again (see Exhausted)."""
        self.creating += 1
        self.pace = self.pace.after(1, now, self.settings)
        return self.exhausted is not None

    def unasked(self, now: datetime) -> None:
        """What was to be asked for was not: the platform has not heard of it."""
        self.pace = self.pace.after(-1, now, self.settings)

    def granted(self, *, finds_out: bool) -> None:
        """A request was granted; those that were made before a refusal say nothing about it."""
        if finds_out:
            self.exhausted = None

    def refused(self, problem: str, now: datetime) -> None:
        """The platform has none to give."""
        self.exhausted = Exhausted(problem, now + self.settings.interval)

    def room_came(self, now: datetime) -> None:
        """Some slice has gone: what it had may be what this group lacked."""
        if self.exhausted is not None and self.exhausted.retry_at > now:
            self.exhausted = Exhausted(self.exhausted.problem, now)

    def request_failed(self, problem: str, now: datetime) -> None:
        """A request for a slice came to nothing."""
        self.backoff = after_failed_boot(self.backoff, problem, now, self.settings)
        self.health = self.health.after(Fate.BOOT_FAILED, now, self.settings)

    def let_go(self, slice_id: SliceId, reason: ScalingReason, now: datetime) -> ManagedSlice:
        """It was decided that a slice goes."""
        one = self.slices[slice_id]
        one.leaving = True
        lost = reason is ScalingReason.SLICE_LOST
        if one.booted is not None:
            self._judge(one, now, lost=lost, goes=True)
        else:
            fate = Fate.SHORT_LIVED if lost else Fate.BOOT_FAILED
            self.health = self.health.after(fate, now, self.settings)
        return one

    def _judge(
        self, one: ManagedSlice, now: datetime, *, lost: bool = False, goes: bool = False
    ) -> None:
        """Notes the fate of a slice that came up, once."""
        if one.booted is None or one.booted.judged:
            return
        lasted = now - one.booted.at >= self.settings.short_lived
        if not lasted and not goes:
            return
        fate = Fate.SHORT_LIVED if lost and not lasted else Fate.SURVIVED
        self.health = self.health.after(fate, now, self.settings)
        one.booted = BootedSlice(one.booted.at, judged=True)
        self._boots_changed += 1

    # --- for others -----------------------------------------------------------------------------

    def state(self) -> GroupState:
        """The group for a plan."""
        staying = [one for one in self.slices.values() if not one.leaving]
        leaving = sum(
            one.leaving and not one.vm_group.status().is_gone for one in self.slices.values()
        )
        return GroupState(
            self.manager.scale_group,
            tuple(
                SliceState(one.value(), one.booted is not None, one.incomplete_since, one.keep)
                for one in staying
            ),
            creating=self.creating,
            leaving=leaving,
            backoff=self.backoff,
            exhausted=self.exhausted,
            unlisted=self.unlisted,
            churn=self.churn,
            pace=self.pace,
        )

    def report(self) -> ScaleGroupReport:
        """The group for people."""
        problem = self.unlisted or self.backoff.problem
        if not problem and self.exhausted is not None:
            problem = self.exhausted.problem
        slices = tuple(one.value() for one in self.slices.values())
        return ScaleGroupReport(self.manager.scale_group, slices, problem or self.churn)
