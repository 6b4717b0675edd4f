"""An autoscaler with its surroundings, for the tests of the shell: a fleet that says yes, platforms
that do what they are told, a clock that is turned by hand.
"""

import asyncio
from collections.abc import Callable, Mapping

from iris.autoscaler.autoscaler import Autoscaler
from iris.autoscaler.demand import (
    Demand,
    FleetView,
    ScalingAction,
    ScalingDecision,
    ScalingReport,
    SliceOccupancy,
)
from iris.autoscaler.scaling_cases import SETTINGS
from iris.model.errors import Unavailable
from iris.model.fleet import ScaleGroup, VmState
from iris.model.ids import SliceId
from iris.testing.clock import FakeClock, settle
from iris.testing.ids import CountedIds
from iris.testing.platform_fakes import FakeVmManager


class RecordedMemory:
    """See ScalingMemory. What is saved is kept, unless it is `broken`.

    Attributes:
        saves: How often something was saved.
    """

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.saves = 0
        self.broken = False

    async def load(self) -> Mapping[str, bytes]:
        if self.broken:
            raise Unavailable("no memory")
        return dict(self.records)

    async def save(self, records: Mapping[str, bytes]) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise Unavailable("no memory")
        self.records |= records
        self.saves += 1


class RecordingFleet:
    """A fleet that says yes to everything, and remembers the order of things."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.working: set[str] = set()
        self.reports: list[ScalingReport] = []
        self.broken: Exception | None = None

    async def drain_slice(self, slice_id: SliceId) -> bool:
        self.log.append(f"drain {slice_id}")
        return slice_id not in self.working

    async def slice_gone(self, slice_id: SliceId, reason: str) -> None:
        self.log.append(f"gone {slice_id}")

    def scaling_changed(self, report: ScalingReport) -> None:
        if self.broken:
            raise self.broken
        self.reports.append(report)


class Scene:
    """An autoscaler with its surroundings."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ids = CountedIds()
        self.fleet = RecordingFleet()
        self.settings = SETTINGS
        self.managers: dict[str, FakeVmManager] = {}
        self.memory = RecordedMemory()
        self.autoscaler: Autoscaler | None = None

    def platform(self, group: ScaleGroup) -> FakeVmManager:
        made = FakeVmManager(group, clock=self.clock, ids=self.ids)
        self.managers[group.name] = made
        return made

    async def start(self) -> Autoscaler:
        self.autoscaler = Autoscaler(
            list(self.managers.values()),
            self.settings,
            clock=self.clock,
            ids=self.ids,
            memory=self.memory,
        )
        await self.autoscaler.start(self.fleet)
        return self.autoscaler

    async def restart(self) -> Autoscaler:
        """Another process takes over: it knows what was saved, and what the platforms say."""
        assert self.autoscaler is not None
        await self.autoscaler.stop()
        return await self.start()

    async def observe(self, *demands: Demand, **seen: SliceOccupancy) -> None:
        """Shows a view (slices by name, `_` for `-`) and lets everything happen that it leads to."""
        assert self.autoscaler is not None
        slices = {SliceId(name.replace("_", "-")): one for name, one in seen.items()}
        self.autoscaler.observe(FleetView(demands, slices))
        await settle()

    async def complete(self, *demands: Demand) -> None:
        """Shows a view in which all slices have all their workers, idle as of now."""
        seen = {}
        for manager in self.managers.values():
            for one in manager.slices.values():
                if not one.status().is_gone:
                    one.set_state(VmState.READY)
                    size = manager.scale_group.vms_per_slice
                    seen[one.slice_id.replace("-", "_")] = SliceOccupancy(size, 0, self.clock.now())
        await self.observe(*demands, **seen)

    @property
    def report(self) -> ScalingReport:
        """The latest one that the fleet was told."""
        return self.fleet.reports[-1]

    def decisions(self, action: ScalingAction | None = None) -> list[ScalingDecision]:
        return [one for one in self.report.decisions if action in (None, one.action)]


async def until(condition: Callable[[], bool]) -> None:
    """Lets tasks run until it holds; everything here happens without time passing."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come about")
