"""An autoscaler that buys nothing: it records what it is told, and says what the test wants."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from iris.autoscaler.demand import Demand, Fleet, FleetView, ScaleGroupReport, ScalingReport
from iris.model.fleet import ScaleGroup, Slice, VmState
from iris.model.ids import JobId, SliceId
from iris.model.pending import PendingReason
from iris.model.resources import Resources


class FakePlanner:
    """See iris.autoscaler.demand.CapacityPlanner.

    Attributes:
        fleet: Whom it works for; None before it was started and after it was stopped.
        views: Every view of the fleet that it was given, latest last.
        demands: Every demand that it was asked about.
        groups: Names of the groups that fit any demand.
        misfit: Why, if `groups` is empty.
        reports: The scale groups and slices that exist.
    """

    def __init__(self) -> None:
        self.fleet: Fleet | None = None
        self.views: list[FleetView] = []
        self.demands: list[Demand] = []
        self.groups: tuple[str, ...] = ("any",)
        self.misfit: PendingReason | None = None
        self.reports: tuple[ScaleGroupReport, ...] = ()
        self._failed = asyncio.Event()
        self._failure: BaseException | None = None
        self._outlook: Mapping[JobId, PendingReason] = {}

    @property
    def view(self) -> FleetView:
        """The latest one; an empty one if there was none."""
        return self.views[-1] if self.views else FleetView()

    def find(self, *slice_ids: str) -> None:
        """These slices, of one group, exist."""
        group = ScaleGroup("any", "fake", Resources())
        began = datetime(2026, 1, 1, tzinfo=UTC)
        slices = tuple(Slice(SliceId(name), "any", VmState.READY, began) for name in slice_ids)
        self.reports = (ScaleGroupReport(group, slices),)

    def set_outlook(self, outlook: Mapping[JobId, PendingReason]) -> None:
        """Says what it does about these jobs, and tells the fleet."""
        self._outlook = outlook
        assert self.fleet is not None, "the planner was not started"
        self.fleet.scaling_changed(self.report())

    async def start(self, fleet: Fleet) -> None:
        """See CapacityPlanner."""
        self.fleet = fleet

    async def stop(self) -> None:
        """See CapacityPlanner."""
        self.fleet = None

    async def wait_failed(self) -> BaseException:
        """See CapacityPlanner."""
        await self._failed.wait()
        assert self._failure is not None
        return self._failure

    def fail(self, error: BaseException) -> None:
        """Its work ends with this error."""
        self._failure = error
        self._failed.set()

    def observe(self, view: FleetView) -> None:
        """See CapacityPlanner."""
        self.views.append(view)

    def fitting_groups(self, demand: Demand) -> tuple[tuple[str, ...], PendingReason | None]:
        """See CapacityPlanner."""
        self.demands.append(demand)
        return self.groups, None if self.groups else self.misfit

    def report(self) -> ScalingReport:
        """See CapacityPlanner."""
        return ScalingReport(self.reports, (), self._outlook)
