"""How slices are asked for: spare ones are kept, the launch rate is kept, who is refused asks once,
and groups whose slices come to little are passed over.
"""

from collections import defaultdict, deque
from datetime import datetime, timedelta

from iris.autoscaler.demand import FleetView, ScalingAction, ScalingDecision, ScalingReason
from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.checkers.holdings import Holdings
from iris.simulation.checkers.scaling import Market, call_limit
from iris.simulation.checkers.waiting import Waiting
from iris.simulation.cloud import CloudCall, SimulatedSlice
from iris.simulation.scenario import FaultKind


class SpareSlicesAreKept(Checker):
    """A group that could have more slices is not without its `buffer_slices` for long."""

    invariant = "spare slices are kept"

    def __init__(self, evidence: Evidence, holdings: Holdings) -> None:
        super().__init__(evidence)
        self._holdings = holdings
        self._short_since: dict[str, float] = {}

    def crashed(self) -> None:
        """Nobody buys while nobody decides."""
        self._short_since.clear()

    def ticked(self) -> None:
        """See Checker."""
        for group in self.evidence.scenario.groups:
            if not self._is_short(group):
                self._short_since.pop(group.name, None)
                continue
            since = self._short_since.setdefault(group.name, self.evidence.now)
            if self.evidence.now - since > call_limit(self.evidence):
                raise self.broken(
                    f"{group.name} could have more slices, and for "
                    f"{self.evidence.now - since:.0f} s fewer than {group.buffer_slices} are spare"
                )

    def _is_short(self, group: ScaleGroup) -> bool:
        if not group.buffer_slices:
            return False
        there = [one for one in self.evidence.cloud.of_group(group.name) if not one.state.is_gone]
        spare = sum(one.terminating_since is None and not self._is_used(one) for one in there)
        return spare < group.buffer_slices and len(there) < group.max_slices

    def _is_used(self, one: SimulatedSlice) -> bool:
        holders = (self._holdings.workers.get(vm.worker_id) for vm in one.vms_now)
        return any(holder is not None and holder.held for holder in holders)


class TheRateIsKept(Checker):
    """In no minute a group is asked for more than its rate and a batch."""

    invariant = "the launch rate is kept"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        settings = evidence.scenario.autoscaling
        # A clock that is set forward makes as much as a batch come sooner.
        jumps = sum(fault.kind is FaultKind.JUMP_CLOCK for fault in evidence.scenario.faults)
        self._most = settings.launches_per_minute + (1 + jumps) * settings.launch_batch
        self._asked: dict[str, deque[float]] = defaultdict(deque)

    def planned(self, view: FleetView, decisions: tuple[ScalingDecision, ...]) -> None:
        """See Checker."""
        now = self.evidence.now
        for one in decisions:
            name = one.scale_group
            # What was decided on and then not asked for, because of a refusal, is not counted.
            if one.action is not ScalingAction.SCALE_UP or name in self.evidence.cloud.refused:
                continue
            asked = self._asked[name]
            asked.append(now)
            while asked[0] <= now - 60.0:
                asked.popleft()
            if len(asked) > self._most:
                raise self.broken(f"{len(asked)} slices of {name} were asked for in a minute")


class TheRefusedAskOnce(Checker):
    """Once a request was refused, a group is asked for one slice at a time until it is given one,
    or nobody has wanted one for a while.
    """

    invariant = "who is refused asks for one slice at a time"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._seen = 0
        self._refused_at: dict[str, float] = {}
        self._tries: dict[str, set[int]] = defaultdict(set)
        # A clock that jumps makes a refusal count longer or shorter than it can be told from here.
        self._jumps = any(fault.kind is FaultKind.JUMP_CLOCK for fault in evidence.scenario.faults)

    def crashed(self) -> None:
        """Nobody waits for the answers any more; that there was a refusal is remembered."""
        self._look()
        self._tries.clear()

    def planned(self, view: FleetView, decisions: tuple[ScalingDecision, ...]) -> None:
        """See Checker."""
        self._look()

    def _look(self) -> None:
        calls = self.evidence.cloud.calls
        for call in calls[self._seen :]:
            self._take(call)
        self._seen = len(calls)

    def _take(self, call: CloudCall) -> None:
        group, tries = call.group, self._tries[call.group]
        match call.what:
            case "asked":
                self._asked(call)
            case "refused":
                tries.discard(call.number)
                self._refused_at[group] = call.at
            case "granted" if call.number in tries:
                tries.clear()
                self._refused_at.pop(group, None)
            case "timed out":
                tries.discard(call.number)

    def _asked(self, call: CloudCall) -> None:
        refused_at, tries = self._refused_at.get(call.group), self._tries[call.group]
        interval = self.evidence.scenario.autoscaling.interval.total_seconds()
        if refused_at is None or self._jumps:
            return
        if call.at - refused_at >= 2 * interval - 0.1 and not tries:
            del self._refused_at[call.group]
            return
        tries.add(call.number)
        if len(tries) > 1:
            raise self.broken(
                f"{call.group} was refused a slice {call.at - refused_at:.1f} s ago, and is asked "
                f"for {len(tries)} at once"
            )


class ChurnIsPassedOver(Checker):
    """A group of which one slice after the other was soon lost is not bought from for what a group
    that never failed anybody could hold.
    """

    invariant = "groups that churn are passed over"
    _enough = 3

    def __init__(self, evidence: Evidence, waiting: Waiting, market: Market) -> None:
        super().__init__(evidence)
        self._waiting = waiting
        self._market = market
        self._settings = evidence.scenario.autoscaling
        # By the wall clock, which may jump, and by seconds that pass.
        self._up_at: dict[SliceId, tuple[datetime, float]] = {}
        self._short: dict[str, list[datetime]] = defaultdict(list)
        self._good: set[str] = set()
        self._failed: set[str] = set()
        self._crashed = False

    def crashed(self) -> None:
        """From now on it is not clear which groups are known to be open."""
        self._crashed = True

    def planned(self, view: FleetView, decisions: tuple[ScalingDecision, ...]) -> None:
        """See Checker."""
        now = self.evidence.clock.now()
        for slice_id, seen in view.slices.items():
            there = self.evidence.cloud.slices.get(slice_id)
            if there is not None and seen.workers >= there.group.vms_per_slice:
                self._up_at.setdefault(slice_id, (now, self.evidence.now))
                if not self._is_young(slice_id, now):
                    self._good.add(there.scale_group)
        bought: dict[str, int] = defaultdict(int)
        for one in decisions:
            bought[one.scale_group] += one.action is ScalingAction.SCALE_UP
        for one in decisions:
            if one.action is ScalingAction.SCALE_UP and one.reason.is_for_demand:
                self._check(one, bought, now)
            elif one.action is ScalingAction.SCALE_DOWN:
                self._note_end(one, now)

    def _note_end(self, one: ScalingDecision, now: datetime) -> None:
        if one.reason is ScalingReason.BOOT_FAILED:
            self._failed.add(one.scale_group)
        elif one.reason is not ScalingReason.SLICE_LOST or one.slice_id not in self._up_at:
            self._good.add(one.scale_group)
        elif self._is_young(one.slice_id, now):
            self._short[one.scale_group].append(now)
        else:
            self._good.add(one.scale_group)

    def _is_young(self, slice_id: SliceId, now: datetime) -> bool:
        """Whether it is soon lost if it is lost now, by either clock: after a jump back one that has
        done well long since seems to be.
        """
        by_wall, by_seconds = self._up_at[slice_id]
        short_lived = self._settings.short_lived
        passed = timedelta(seconds=self.evidence.now - by_seconds)
        return now - by_wall < short_lived and passed < short_lived

    def _check(self, one: ScalingDecision, bought: dict[str, int], now: datetime) -> None:
        if self._crashed or one.job_id is None or not self._churns(one.scale_group, now):
            return
        alike = self._waiting.alike_of(one.job_id)
        if alike.is_gang or self._settings.launch_batch < 1_000:
            return
        for group in self.evidence.scenario.groups:
            if self._never_failed(group.name) and self._market.per_slice(alike, group):
                there = sum(1 for _ in self.evidence.cloud.of_group(group.name))
                coming = self.evidence.cloud.being_created(group.name)
                if there + coming + bought[group.name] < group.max_slices:
                    raise self.broken(
                        f"{one.scale_group} is bought from for {one.job_id} though its slices are "
                        f"soon lost, and {group.name} could have one"
                    )

    def _churns(self, name: str, now: datetime) -> bool:
        since = now - self._settings.health_window + timedelta(seconds=1)
        lost = sum(at > since for at in self._short[name])
        return lost >= self._enough and name not in self._good | self._failed

    def _never_failed(self, name: str) -> bool:
        cloud = self.evidence.cloud
        failed = {group for group, *_ in cloud.failed_calls} | self._failed | cloud.refused
        return name not in failed and not self._short[name]


def all_of_supply(
    evidence: Evidence, holdings: Holdings, waiting: Waiting, market: Market
) -> list[Checker]:
    """One of each."""
    return [
        SpareSlicesAreKept(evidence, holdings),
        TheRateIsKept(evidence),
        TheRefusedAskOnce(evidence),
        ChurnIsPassedOver(evidence, waiting, market),
    ]
