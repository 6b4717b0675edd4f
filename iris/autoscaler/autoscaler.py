"""Carries plans out: calls the platforms, tells the fleet, and remembers what is under way.

One task turns: it reads what there is, makes a plan (`plan`), begins what the plan says, and sleeps
until the fleet has news, a slice has changed, a call has ended, or the plan itself would change.
Every call runs in a task of its own, so that nothing waits for a platform; all tasks belong to one
group, and an exception that nobody expected ends all of them and is told (`wait_failed`).

What has to outlive the process (`memory`) is saved by a task of its own, whenever it has changed.

Whatever a platform raises is taken for a failed boot, a failed listing or a slice that could not be
ended yet, and tried again after a rest: platforms are other people's code.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from iris.autoscaler.calls import GroupCalls
from iris.autoscaler.decision_log import DecisionLog
from iris.autoscaler.demand import (
    Demand,
    Fleet,
    FleetView,
    ScalingAction,
    ScalingDecision,
    ScalingReason,
    ScalingReport,
)
from iris.autoscaler.fit import fitting
from iris.autoscaler.groups import reason_of_exhaustion
from iris.autoscaler.keeper import Keeper
from iris.autoscaler.memory import ScalingMemory
from iris.autoscaler.pace import pause_after_plan
from iris.autoscaler.plan import NO_PACKING, Plan, plan
from iris.autoscaler.settings import AutoscalerSettings
from iris.autoscaler.slices import GIVE_UP, ManagedGroup, ManagedSlice
from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.model.errors import DeadlineExceeded, FailedPrecondition, IrisError, ResourceExhausted
from iris.model.ids import JobId
from iris.model.pending import PendingReason
from iris.platforms.protocols import VmGroupProtocol, VmManagerProtocol

_LOG = logging.getLogger(__name__)
# Names one request for a slice, for platforms that would otherwise buy twice when it is repeated.
TAG_REQUEST = "iris-request"


class Autoscaler:
    """See CapacityPlanner. Belongs to one event loop; whoever starts it awaits `stop`.

    Args:
        memory: Where back-off, health and the like are kept; None: nowhere.
    """

    def __init__(
        self,
        managers: Sequence[VmManagerProtocol],
        settings: AutoscalerSettings,
        *,
        clock: Clock,
        ids: IdSource,
        memory: ScalingMemory | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._ids = ids
        self._groups = {
            manager.scale_group.name: ManagedGroup(manager, settings) for manager in managers
        }
        self._calls = {
            name: GroupCalls(clock, settings.call_timeout, settings.max_parallel_calls)
            for name in self._groups
        }
        self._keeper = Keeper(self._groups, memory, clock=clock, retry=settings.backoff_min)
        self._view = FleetView()
        self._decisions = DecisionLog()
        self._outlook: Mapping[JobId, PendingReason] = {}
        self._packing = NO_PACKING
        self._last_report: ScalingReport | None = None
        self._fleet: Fleet | None = None
        self._wake = asyncio.Event()
        self._listed = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._main: asyncio.Task[None] | None = None

    # --- CapacityPlanner ------------------------------------------------------------------------

    async def start(self, fleet: Fleet) -> None:
        """See CapacityPlanner. Returns once every platform has been asked which slices there are;
        one that could not say is asked again, and until it has, nothing is bought of it. Raises
        FailedPrecondition when it was started before.
        """
        if self._main is not None:
            raise FailedPrecondition("The autoscaler was started before.", hint="Make a new one.")
        self._fleet = fleet
        self._main = asyncio.create_task(self._run(), name="autoscaler")
        self._main.add_done_callback(_say_how_it_ended)
        listed = asyncio.create_task(self._listed.wait())
        try:
            await asyncio.wait((self._main, listed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            listed.cancel()
            await asyncio.gather(listed, return_exceptions=True)

    async def stop(self) -> None:
        """See CapacityPlanner. Idempotent."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)
            await self._keeper.save()

    async def wait_failed(self) -> BaseException:
        """See CapacityPlanner."""
        assert self._main is not None, "the autoscaler was not started"
        await asyncio.wait((self._main,))
        error = None if self._main.cancelled() else self._main.exception()
        if error is None:
            # It was stopped, as somebody wished: that is no failure.
            await asyncio.Event().wait()
        assert error is not None
        return error

    def observe(self, view: FleetView) -> None:
        """See CapacityPlanner."""
        self._view = view
        for group in self._groups.values():
            for one in group.slices.values():
                one.keep = False
        self._wake.set()

    def fitting_groups(self, demand: Demand) -> tuple[tuple[str, ...], PendingReason | None]:
        """See CapacityPlanner."""
        groups = [group.manager.scale_group for group in self._groups.values()]
        existing = {name: list(group.slices) for name, group in self._groups.items()}
        fits = fitting(groups, demand, existing)
        if isinstance(fits, PendingReason):
            return (), fits
        return tuple(one.group.name for one in fits), None

    def report(self) -> ScalingReport:
        """See CapacityPlanner."""
        groups = tuple(group.report() for group in self._groups.values())
        return ScalingReport(groups, self._decisions.latest(), self._outlook)

    # --- the loop -------------------------------------------------------------------------------

    async def _run(self) -> None:
        async with self._tasks:
            await self._keeper.recall()
            self._tasks.create_task(self._keeper.run(), name="autoscaler memory")
            listings = [self._spawn_listing(group) for group in self._groups.values()]
            for first_answer in listings:
                await first_answer.wait()
            self._listed.set()
            while True:
                self._wake.clear()
                until = self._turn()
                self._publish()
                slices = sum(len(group.slices) for group in self._groups.values())
                if pause := pause_after_plan(slices):
                    await self._clock.sleep(pause)
                await self._sleep(until)

    def _turn(self) -> datetime | None:
        """Plans, and begins what the plan says; when to look again if nothing happens."""
        now = self._clock.now()
        for group in self._groups.values():
            group.look(self._view, now)
        states = [group.state() for group in self._groups.values()]
        made = plan(self._view, states, self._settings, now, self._packing)
        for name, backoff in made.backoffs.items():
            self._groups[name].backoff = backoff
        for name, exhausted in made.exhausted.items():
            self._groups[name].exhausted = exhausted
        self._begin(made, now)
        self._outlook, self._packing = made.outlook, made.packing
        self._keeper.look()
        return made.wake_at

    def _begin(self, made: Plan, now: datetime) -> None:
        for one in made.decisions:
            if one.action is ScalingAction.SCALE_UP:
                group = self._groups[one.scale_group]
                creation = self._create(group, one, finds_out=group.ask(now))
                self._tasks.create_task(creation, name=f"create {group.name}")
            elif one.action is ScalingAction.SCALE_DOWN:
                assert one.slice_id is not None
                group = self._groups[one.scale_group]
                managed = group.let_go(one.slice_id, one.reason, now)
                self._tasks.create_task(
                    self._let_go(group, managed, one), name=f"end {one.slice_id}"
                )
        self._decisions.hold(
            (one for one in made.decisions if one.action is ScalingAction.HOLD),
            (one.job_id for one in self._view.demands),
        )

    async def _sleep(self, until: datetime | None) -> None:
        if until is None:
            await self._wake.wait()
            return
        seconds = (until - self._clock.now()).total_seconds()
        news = asyncio.create_task(self._wake.wait())
        timer = asyncio.create_task(self._clock.sleep(max(0.0, seconds)))
        try:
            await asyncio.wait((news, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            timer.cancel()
            await asyncio.gather(news, timer, return_exceptions=True)

    def _publish(self) -> None:
        report = self.report()
        if report != self._last_report:
            self._last_report = report
            assert self._fleet is not None
            self._fleet.scaling_changed(report)

    # --- slices that come -----------------------------------------------------------------------

    async def _create(
        self, group: ManagedGroup, decision: ScalingDecision, *, finds_out: bool
    ) -> None:
        """Buys one slice."""
        tags = dict(self._settings.tags) | {TAG_REQUEST: self._ids.fresh("request")}
        what = f"Creating a slice of {group.name}"

        async def ask() -> VmGroupProtocol:
            if group.exhausted is not None and not finds_out:
                # Another was refused while this one waited for its turn.
                group.unasked(self._clock.now())
                raise ResourceExhausted(group.exhausted.problem)
            return await group.manager.create_vm_group(tags)

        try:
            bought = await self._calls[group.name].asking.run(what, ask)
        except ResourceExhausted as error:
            self._exhausted(group, error, decision)
        except IrisError as error:
            _LOG.warning("%s failed: %s", what, error)
            self._boot_failed(group, str(error), decision)
            if isinstance(error, DeadlineExceeded):
                # It may have been bought nevertheless. Until that is known, it counts as being
                # created.
                await self._find_strays(group)
        else:
            group.granted(finds_out=finds_out)
            self._adopt(group, bought)
            now = self._clock.now()
            self._decisions.add(replace(decision, at=now, slice_id=bought.slice_id))
        group.creating -= 1
        self._wake.set()

    def _exhausted(
        self, group: ManagedGroup, error: ResourceExhausted, decision: ScalingDecision
    ) -> None:
        group.refused(error.problem, self._clock.now())
        if decision.job_id is None:
            # Where there is demand, the next plan holds it, and says so.
            reason = reason_of_exhaustion(group.manager.scale_group)
            self._note(group, reason, error.problem, decision)

    def _boot_failed(self, group: ManagedGroup, problem: str, decision: ScalingDecision) -> None:
        group.request_failed(problem, self._clock.now())
        self._note(group, ScalingReason.BOOT_FAILED, problem, decision)

    def _note(
        self, group: ManagedGroup, reason: ScalingReason, problem: str, decision: ScalingDecision
    ) -> None:
        """Records that a slice which was decided on did not come."""
        self._decisions.add(
            replace(
                decision,
                at=self._clock.now(),
                action=ScalingAction.HOLD,
                reason=reason,
                summary=f"No new slice of {group.name}: {problem}",
            )
        )

    def _adopt(self, group: ManagedGroup, vm_group: VmGroupProtocol) -> None:
        """Looks after a slice from now on."""
        if vm_group.scale_group != group.name:
            _LOG.error("%s is no slice of %s: it is left alone", vm_group.slice_id, group.name)
            return
        managed = group.adopt(vm_group, self._clock.now())
        if managed is None:
            return
        managed.watcher = self._tasks.create_task(
            self._watch(vm_group), name=f"watch {vm_group.slice_id}"
        )

    async def _watch(self, vm_group: VmGroupProtocol) -> None:
        while True:
            # First of all: it may have changed before anybody watched.
            self._wake.set()
            await vm_group.wait_changed()

    def _spawn_listing(self, group: ManagedGroup) -> asyncio.Event:
        """Begins to find out which slices there are; the event tells the first answer, good or bad."""
        answered = asyncio.Event()
        self._tasks.create_task(self._list(group, answered), name=f"list {group.name}")
        return answered

    async def _list(self, group: ManagedGroup, answered: asyncio.Event) -> None:
        rest = self._settings.backoff_min
        while True:
            problem = await self._adopt_existing(group)
            if problem:
                group.unlisted = f"its slices could not be listed: {problem}"
            else:
                group.listed()
            answered.set()
            self._wake.set()
            if not problem:
                return
            await self._clock.sleep(rest.total_seconds())
            rest = min(rest * 2, self._settings.backoff_max)

    async def _find_strays(self, group: ManagedGroup) -> None:
        """Adopts what a call has bought that did not answer. Asks until the platform says what there
        is: a slice that nobody knows of is never given back.
        """
        rest = self._settings.backoff_min
        while problem := await self._adopt_existing(group):
            _LOG.warning("Slices of %s that are not known may exist: %s", group.name, problem)
            await self._clock.sleep(rest.total_seconds())
            rest = min(rest * 2, self._settings.backoff_max)

    async def _adopt_existing(self, group: ManagedGroup) -> str:
        """Adopts what the platform says there is; what went wrong, if anything did."""
        what = f"Listing the slices of {group.name}"
        try:
            calls = self._calls[group.name].others
            found = await calls.run(what, group.manager.discover_vm_groups)
        except IrisError as error:
            _LOG.warning("%s failed: %s", what, error)
            return str(error)
        for vm_group in found:
            self._adopt(group, vm_group)
        return ""

    # --- slices that go -------------------------------------------------------------------------

    async def _let_go(
        self, group: ManagedGroup, managed: ManagedSlice, decision: ScalingDecision
    ) -> None:
        """Gives one slice back, or clears away what is left of it."""
        assert self._fleet is not None
        slice_id = managed.vm_group.slice_id
        given_up = decision.reason in GIVE_UP
        if not given_up and not await self._fleet.drain_slice(slice_id):
            managed.leaving, managed.keep = False, True
            self._wake.set()
            return
        self._decisions.add(replace(decision, at=self._clock.now()))
        frees_room = managed.frees_room
        if given_up:
            # Its attempts are lost already: they need not wait for the platform.
            await self._fleet.slice_gone(slice_id, decision.summary)
        await self._terminate(group, managed)
        if not given_up:
            await self._fleet.slice_gone(slice_id, decision.summary)
        group.forget(slice_id)
        if managed.watcher is not None:
            managed.watcher.cancel()
        if frees_room:
            for other in self._groups.values():
                other.room_came(self._clock.now())
        self._wake.set()

    async def _terminate(self, group: ManagedGroup, managed: ManagedSlice) -> None:
        """Ends a slice, however often it takes: it costs money until it is gone."""
        what = f"Ending {managed.vm_group.slice_id}"
        rest = self._settings.backoff_min
        while True:
            self._wake.set()
            try:
                await self._calls[group.name].others.run(what, managed.vm_group.terminate)
            except IrisError as error:
                _LOG.warning("%s failed: %s", what, error)
                managed.problem = f"it could not be ended: {error}"
            else:
                return
            self._wake.set()
            await self._clock.sleep(rest.total_seconds())
            rest = min(rest * 2, self._settings.backoff_max)


def _say_how_it_ended(main: asyncio.Task[None]) -> None:
    if not main.cancelled() and main.exception() is not None:
        _LOG.critical("The autoscaler has ended", exc_info=main.exception())
