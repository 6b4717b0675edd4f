"""Small groups, demands and slices for this room's tests."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from iris.autoscaler.demand import Demand, FleetView, SliceOccupancy
from iris.autoscaler.groups import SliceState
from iris.autoscaler.settings import AutoscalerSettings
from iris.model.constraints import Constraint
from iris.model.fleet import ManagedVm, ScaleGroup, Slice, VmState
from iris.model.ids import JobId, SliceId, WorkerId
from iris.model.job import Gang
from iris.model.resources import Resources

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHIP = "tpu/v5litepod-16"
FOUR_CHIPS = Resources(1000, 0, 0, ((CHIP, 4),))
SETTINGS = AutoscalerSettings(
    idle_timeout=timedelta(seconds=60),
    interval=timedelta(seconds=10),
    boot_timeout=timedelta(seconds=300),
    call_timeout=timedelta(seconds=30),
    backoff_min=timedelta(seconds=5),
    backoff_max=timedelta(seconds=60),
)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def cpu_group(
    name: str = "cpu",
    cores: float = 4,
    *,
    vms: int = 1,
    most: int = 10,
    least: int = 0,
    priority: int = 100,
    attributes: Mapping[str, str] | None = None,
) -> ScaleGroup:
    return ScaleGroup(
        name,
        "fake",
        Resources(int(cores * 1000)),
        vms_per_slice=vms,
        min_slices=least,
        max_slices=most,
        priority=priority,
        attributes=tuple(sorted((attributes or {}).items())),
    )


def tpu_group(
    name: str = "tpu",
    variant: str = "v5litepod-16",
    vms: int = 4,
    most: int = 10,
    *,
    least: int = 0,
    priority: int = 100,
) -> ScaleGroup:
    return ScaleGroup(
        name,
        "fake",
        Resources(1000, 0, 0, ((f"tpu/{variant}", 4),)),
        vms_per_slice=vms,
        min_slices=least,
        max_slices=most,
        priority=priority,
        accelerator_type="tpu",
        accelerator_variant=variant,
    )


def demand(
    name: str = "a",
    need: Resources | None = None,
    tasks: int = 1,
    *constraints: Constraint,
    group_by: str = "",
) -> Demand:
    gang = Gang(group_by) if group_by else None
    return Demand(JobId(f"/u/{name}"), need or Resources(1000), constraints, gang, tasks)


def gang(
    name: str = "g", tasks: int = 4, group_by: str = "tpu-name", need: Resources = FOUR_CHIPS
) -> Demand:
    return demand(name, need, tasks, group_by=group_by)


def slice_of(
    group: ScaleGroup,
    number: int = 1,
    state: VmState = VmState.READY,
    *,
    booted: bool = True,
    since: datetime | None = None,
    problem: str = "",
    keep: bool = False,
) -> SliceState:
    """Booted and complete; or launching since `since` (now, if it does not say)."""
    slice_id = SliceId(f"{group.name}-{number}")
    vms = tuple(
        ManagedVm(f"{slice_id}/{i}", state, WorkerId(f"{slice_id}/{i}"))
        for i in range(group.vms_per_slice)
    )
    value = Slice(slice_id, group.name, state, NOW, vms, problem)
    return SliceState(value, booted, since if booted else since or NOW, keep)


def launching_slice(group: ScaleGroup, number: int = 1, since: datetime = NOW) -> SliceState:
    return slice_of(group, number, VmState.BOOTING, booted=False, since=since)


def view(*demands: Demand, **slices: SliceOccupancy) -> FleetView:
    """Slices by name, with `_` for `-`."""
    return FleetView(
        demands, {SliceId(name.replace("_", "-")): seen for name, seen in slices.items()}
    )


def idle(workers: int = 1, since: datetime = NOW) -> SliceOccupancy:
    return SliceOccupancy(workers, 0, since)


def busy(workers: int = 1, attempts: int = 1) -> SliceOccupancy:
    return SliceOccupancy(workers, attempts, None)
