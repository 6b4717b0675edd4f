"""The autoscaler buys what is missing and gives back what is not needed: counted from what waits in
the controller's records and from what the cloud really has.
"""

from collections import defaultdict
from datetime import datetime

from iris.autoscaler.demand import FleetView, ScalingAction, ScalingDecision, ScalingReason
from iris.controller.brain import Turn
from iris.model.constraints import required
from iris.model.fleet import ScaleGroup, VmState, slice_attributes
from iris.model.ids import SliceId
from iris.model.taints import taints_of, untolerated
from iris.model.tpu import tpu_topology
from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.checkers.holdings import Holdings
from iris.simulation.checkers.waiting import Alike, Waiting
from iris.simulation.cloud import SimulatedSlice
from iris.simulation.controller import ControllerProcess
from iris.simulation.scenario import at_rest

_MOST = 1 << 20
_ONE_SLICE = ("slice-id", "tpu-name")
# Calls take their time, and one that timed out is made again after a rest.
_MARGIN = 150.0


def call_limit(evidence: Evidence) -> float:
    """Within so many seconds something has come of a wish for slices: calls that hang, and the rest
    after boots that failed.
    """
    settings = evidence.scenario.autoscaling
    rest = settings.call_timeout * 3 + settings.backoff_max + settings.boot_timeout
    return rest.total_seconds() + evidence.set_back


class Market:
    """What the groups sell, worked out without the autoscaler's own code."""

    def __init__(self, evidence: Evidence) -> None:
        self._groups = {group.name: group for group in evidence.scenario.groups}
        self._fits: dict[tuple[Alike, str], int] = {}

    def per_slice(self, alike: Alike, group: ScaleGroup) -> int:
        """How many of such tasks an empty slice takes; for gangs on one slice, all or none."""
        key = alike, group.name
        found = self._fits.get(key)
        if found is None:
            found = self._fits[key] = self._per_slice(alike, group)
        return found

    def slices_for(self, alike: Alike, group: ScaleGroup) -> int:
        """How many slices all of them together could use at most, alone."""
        each = self.per_slice(alike, group)
        if not each:
            return 0
        if not alike.is_gang:
            return -(-len(alike.tasks) // each)
        return len(alike.tasks) * (-(-alike.spec.replicas // each))

    def _per_slice(self, alike: Alike, group: ScaleGroup) -> int:
        spec, total = alike.spec, 0
        topology = tpu_topology(group.accelerator_variant).topology if group.is_tpu else ""
        for vm in range(group.vms_per_slice):
            attributes = slice_attributes(group, SliceId("\0"), vm, topology)
            if spec.gang is not None and spec.gang.group_by not in attributes:
                return 0
            if untolerated(taints_of(attributes), spec.tolerations) is None and all(
                rule.holds(attributes) for rule in required(spec.constraints)
            ):
                total += alike.need.copies_in(group.vm, _MOST)
        if spec.gang is None:
            return total
        if spec.gang.group_by in _ONE_SLICE:
            return total if total >= spec.replicas else 0
        # Over all slices of the group.
        return total if total * group.max_slices >= spec.replicas else 0


class NoOverLaunch(Checker):
    """Whenever a slice is bought for tasks, all that are on their way are needed: there are no more
    of them than all waiting tasks could use, each kind alone.
    """

    invariant = "the autoscaler buys no more than is missing"

    def __init__(self, evidence: Evidence, waiting: Waiting, market: Market) -> None:
        super().__init__(evidence)
        self._waiting = waiting
        self._market = market
        self._needed: dict[str, int] = defaultdict(int)

    def observed(self, view: FleetView) -> None:
        """What waits at the moment that the view shows: plans are made anew from an old one too."""
        alike = self._waiting.alike()
        for group in self.evidence.scenario.groups:
            needs = (self._market.slices_for(one, group) for one in alike)
            self._needed[group.name] = sum(needs)

    def planned(self, view: FleetView, decisions: tuple[ScalingDecision, ...]) -> None:
        """See Checker."""
        buying: dict[str, int] = defaultdict(int)
        for one in decisions:
            if one.action is ScalingAction.SCALE_UP and one.reason.is_for_demand:
                buying[one.scale_group] += 1
        for name, new in buying.items():
            group = self.evidence.cloud.groups[name]
            coming = sum(self._is_unseen(one) for one in self.evidence.cloud.of_group(name))
            needed = self._needed[name]
            if coming + new > needed + group.min_slices + group.buffer_slices:
                raise self.broken(
                    f"{new} slices of {name} are bought while {coming} are on their way; "
                    f"all that waits could use {needed}"
                )

    def _is_unseen(self, one: SimulatedSlice) -> bool:
        """Nobody has seen a worker of it yet, and it is well as far as anybody knows."""
        if one.state is not VmState.BOOTING or one.terminating_since is not None:
            return False
        return all(vm.worker_id not in self.evidence.ledger.workers for vm in one.vms_now)


class NoUnderCount(Checker):
    """When tasks wait that a group could run and has headroom for, so much of it comes."""

    invariant = "the autoscaler asks for all that is missing"
    patience = 60.0

    def __init__(
        self, evidence: Evidence, waiting: Waiting, holdings: Holdings, market: Market
    ) -> None:
        super().__init__(evidence)
        self._waiting = waiting
        self._holdings = holdings
        self._market = market
        self._short_since: dict[Alike, float] = {}
        self._looked_at = 0.0

    def crashed(self) -> None:
        """Nobody buys while nobody decides."""
        self._short_since.clear()

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """See Checker."""
        now = self.evidence.now
        if now < self._looked_at + 5.0:
            return
        self._looked_at = now
        short = {alike for alike in self._waiting.alike() if self._is_short(alike)}
        for alike in set(self._short_since) - short:
            del self._short_since[alike]
        for alike in short:
            since = self._short_since.setdefault(alike, now)
            if now - since > self.patience + call_limit(self.evidence):
                raise self.broken(
                    f"{len(alike.tasks)} tasks like {alike.name} ({alike.need}) wait, groups could "
                    f"run them, and for {now - since:.0f} s too little has come"
                )

    def _is_short(self, alike: Alike) -> bool:
        """Whether, with everything that is coming, there is too little, and more could be had."""
        if not self._within_budget(alike):
            return False
        coming, open_ = 0, False
        for group in self.evidence.scenario.groups:
            each = self._market.per_slice(alike, group)
            if not each:
                continue
            slices = self.evidence.cloud.of_group(group.name)
            live = [one for one in slices if not one.state.is_gone]
            unready = [one for one in live if self._is_unready(one)]
            coming += each * len(unready)
            open_ = open_ or len(live) < group.max_slices
        missing = len(alike.tasks) * (alike.spec.replicas if alike.is_gang else 1)
        return open_ and coming < min(missing, self._room_in_budget(alike))

    def _is_unready(self, one: SimulatedSlice) -> bool:
        known = self._holdings.workers
        return any(
            vm.worker_id not in known or not known[vm.worker_id].connected for vm in one.vms_now
        )

    def _room_in_budget(self, alike: Alike) -> int:
        return self._holdings.within_budget(alike.user, alike.need, _MOST)

    def _within_budget(self, alike: Alike) -> bool:
        copies = alike.spec.replicas if alike.is_gang else 1
        return self._room_in_budget(alike) >= copies


class IdleGoesBack(Checker):
    """Once nothing is left to run, all slices that are not wanted go back, together, soon."""

    invariant = "idle slices go back"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._idle_since: float | None = None

    def crashed(self) -> None:
        """Whoever comes next has to wait anew."""
        self._idle_since = None

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """See Checker."""
        if not self.evidence.calm or process.state.jobs.active:
            self._idle_since = None
            return
        self._idle_since = self.evidence.now if self._idle_since is None else self._idle_since
        self._check()

    def planned(self, view: FleetView, decisions: tuple[ScalingDecision, ...]) -> None:
        """See Checker."""
        self._check()

    def _check(self) -> None:
        if self._idle_since is None:
            return
        settings = self.evidence.scenario.autoscaling
        limit = settings.idle_timeout.total_seconds() + settings.boot_timeout.total_seconds()
        if self.evidence.now < self._idle_since + limit + _MARGIN + self.evidence.set_back:
            return
        for group in self.evidence.scenario.groups:
            there = [
                one
                for one in self.evidence.cloud.of_group(group.name)
                if one.terminating_since is None
            ]
            if len(there) > at_rest(group):
                seconds = self.evidence.now - self._idle_since
                raise self.broken(
                    f"nothing has been left to run for {seconds:.0f} s, and {group.name} still "
                    f"keeps {len(there)} slices"
                )


class FailedBootsRest(Checker):
    """After boots that failed in a row a group rests, longer each time; each slice that comes up
    ends the rest and halves the row. A restart of the controller changes nothing about it.
    """

    invariant = "groups rest after failed boots"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._came_up: set[SliceId] = set()
        self._given_up: set[SliceId] = set()
        self._row: dict[str, int] = defaultdict(int)
        # The latest failure, until a slice comes up.
        self._last: dict[str, tuple[float, datetime]] = {}
        self._calls_seen = 0
        self._process: ControllerProcess | None = None

    def recovered(self, process: ControllerProcess) -> None:
        """See Checker."""
        self._process = process

    def planned(self, view: FleetView, decisions: tuple[ScalingDecision, ...]) -> None:
        """See Checker."""
        now = (self.evidence.now, self.evidence.clock.now())
        for name, at, wall in self.evidence.cloud.failed_calls[self._calls_seen :]:
            self._note_failure(name, (at, wall))
        self._calls_seen = len(self.evidence.cloud.failed_calls)
        self._note_successes(view)
        failed = {one.scale_group for one in decisions if one.reason is ScalingReason.BOOT_FAILED}
        for one in decisions:
            name = one.scale_group
            if one.action is ScalingAction.SCALE_UP and name in self._last and name not in failed:
                rested, least = max(self._rested(name, now)), self._rest(name)
                if rested < least:
                    raise self.broken(
                        f"{name} buys {rested:.1f} s after its boot number {self._row[name]} in a "
                        f"row failed; it has to rest {least:g} s"
                    )
            if one.action is ScalingAction.SCALE_DOWN and one.slice_id is not None:
                self._given_up.add(one.slice_id)
        for name in sorted(failed):
            self._note_failure(name, now)

    def _note_successes(self, view: FleetView) -> None:
        assert self._process is not None
        known = self._process.autoscaler.knows() - self._came_up - self._given_up
        for slice_id in known:
            there, seen = self.evidence.cloud.slices.get(slice_id), view.slices.get(slice_id)
            if there is None or seen is None or seen.workers < there.group.vms_per_slice:
                continue
            self._came_up.add(slice_id)
            self._row[there.scale_group] //= 2
            self._last.pop(there.scale_group, None)

    def _note_failure(self, name: str, at: tuple[float, datetime]) -> None:
        if name not in self._last or min(self._rested(name, at)) >= self._rest(name):
            # What fails while the group rests belongs to the same failure.
            self._row[name] += 1
            self._last[name] = at

    def _rested(self, name: str, now: tuple[float, datetime]) -> tuple[float, float]:
        """Seconds since the latest failure of a row, by either clock: whoever rests goes by the wall
        clock, which may have been set.
        """
        monotonic, wall = self._last[name]
        return now[0] - monotonic + 1e-6, (now[1] - wall).total_seconds() + 1e-6

    def _rest(self, name: str) -> float:
        """Seconds after the latest failure of a row."""
        settings = self.evidence.scenario.autoscaling
        rest = settings.backoff_min * (1 << min(self._row[name] - 1, 30))
        return min(rest, settings.backoff_max).total_seconds()
