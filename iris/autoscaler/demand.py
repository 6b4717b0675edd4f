"""What the autoscaler is told about the fleet, in one consistent snapshot, and what it answers:
values and two narrow protocols.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

from iris.model.constraints import Constraint
from iris.model.fleet import ScaleGroup, Slice
from iris.model.ids import JobId, SliceId, WorkerId
from iris.model.job import Gang
from iris.model.pending import PendingReason
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.taints import Toleration


@dataclass(frozen=True, slots=True)
class Demand:
    """Tasks that found no place on the workers that exist, for want of machines.

    For a gang, `tasks` is its size and they need one slice together; there is one Demand for each
    gang. Otherwise each task needs a place of its own, and one Demand stands for all tasks of one
    user and band that ask for the same, also of several jobs.

    Attributes:
        job_id: The gang, or the first of the jobs. A view names each job once at most.
        constraints: Those that have to hold; preferences buy nothing.
        band: A view's demands come in the order in which they are to be served.
    """

    job_id: JobId
    resources: Resources
    constraints: tuple[Constraint, ...]
    gang: Gang | None
    tasks: int
    tolerations: tuple[Toleration, ...] = ()
    band: PriorityBand = PriorityBand.INTERACTIVE


@dataclass(frozen=True, slots=True)
class SliceOccupancy:
    """One slice through the controller's eyes.

    Attributes:
        workers: Of its VMs, how many have a worker that is attached. None, once it is to be given back.
        attempts: On all of them.
        idle_since: When the last attempt left; None while there is one.
        closed: How many of `workers` take no new work for now: they are not well, or drained.
        problems: What is wrong with those that are not well, for people.
    """

    workers: int
    attempts: int
    idle_since: datetime | None
    closed: int = 0
    problems: tuple[tuple[WorkerId, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FleetView:
    """Demand and occupancy as of the same turn of the controller's loop, so that nothing is counted
    twice or missed.
    """

    demands: tuple[Demand, ...] = ()
    slices: Mapping[SliceId, SliceOccupancy] = field(default_factory=dict)


class ScalingAction(Enum):
    """What was decided."""

    SCALE_UP = "scale up"
    SCALE_DOWN = "scale down"
    HOLD = "hold"


class ScalingReason(Enum):
    """Why."""

    DEMAND = "demand"
    BELOW_MIN_SLICES = "below min_slices"
    IDLE = "idle"
    ABOVE_MAX_SLICES = "above max_slices"
    BOOT_FAILED = "boot failed"
    SLICE_LOST = "slice lost"
    AT_MAX_SLICES = "at max_slices"
    BACKING_OFF = "resting after failed boots"
    NOTHING_FITS = "no scale group fits"
    MACHINE_BUDGET = "the machine's budget is used up"
    QUOTA = "the platform's quota is used up"
    CHURN = "a preferred group's slices fail or are soon lost"
    RATE_LIMIT = "at the launch rate"
    BUFFER = "fewer spare slices than buffer_slices"

    @property
    def is_for_demand(self) -> bool:
        """Whether a slice is bought because tasks wait."""
        return self in (ScalingReason.DEMAND, ScalingReason.CHURN)


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """One decision or one unmet demand, as a record. `summary` is one sentence with the numbers."""

    at: datetime
    action: ScalingAction
    reason: ScalingReason
    scale_group: str = ""
    slice_id: SliceId | None = None
    job_id: JobId | None = None
    summary: str = ""


@dataclass(frozen=True, slots=True)
class ScaleGroupReport:
    """A group and its slices now. `problem` says why it rests, if it does."""

    group: ScaleGroup
    slices: tuple[Slice, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ScalingReport:
    """All the autoscaler has to say: groups, its latest decisions (bounded, oldest first) and, for
    jobs whose demand it looked at, what it does about it (replaces the scheduler's reason where
    present).
    """

    groups: tuple[ScaleGroupReport, ...]
    decisions: tuple[ScalingDecision, ...]
    outlook: Mapping[JobId, PendingReason]


class Fleet(Protocol):
    """What the autoscaler asks of the controller. Runs on the controller's event loop."""

    async def drain_slice(self, slice_id: SliceId) -> bool:
        """Stops giving work to the slice if it has none; False (and nothing changed) if it has."""

    async def slice_gone(self, slice_id: SliceId, reason: str) -> None:
        """The slice's machines no longer exist: their attempts are lost and its workers are
        forgotten.
        """

    def scaling_changed(self, report: ScalingReport) -> None:
        """There is a new report; never blocks."""


class CapacityPlanner(Protocol):
    """What the controller asks of the autoscaler. Runs on the controller's event loop."""

    async def start(self, fleet: Fleet) -> None:
        """Adopts slices that exist under our label, then works until `stop`."""

    async def stop(self) -> None:
        """Ends all work and calls under way; gives back no slice (the platforms' managers do when
        they stop).
        """

    async def wait_failed(self) -> BaseException:
        """What ended its work though nobody stopped it. Returns never if nothing does."""

    def observe(self, view: FleetView) -> None:
        """The fleet as of this turn; replaces the last one; never blocks."""

    def fitting_groups(self, demand: Demand) -> tuple[tuple[str, ...], PendingReason | None]:
        """Names of the groups whose slices could ever hold this demand; if none, the reason with
        the nearest miss.
        """

    def report(self) -> ScalingReport:
        """Groups, slices and decisions now."""
