"""Scale groups, slices and VMs as values: what can be bought, and what was."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from iris.model.ids import SliceId, WorkerId
from iris.model.resources import Resources

# Attributes that every worker carries, whatever its platform.
ATTRIBUTE_SCALE_GROUP = "scale-group"
ATTRIBUTE_SLICE = "slice-id"
ATTRIBUTE_ZONE = "zone"
ATTRIBUTE_PREEMPTIBLE = "preemptible"
# Those that are found on a machine, and by what (`nvidia-smi`, `gce-metadata`).
ATTRIBUTE_REGION = "region"
ATTRIBUTE_INSTANCE = "instance"
ATTRIBUTE_GPU_NAME = "gpu-name"
ATTRIBUTE_GPU_MEMORY = "gpu-memory"
ATTRIBUTE_FOUND_BY = "found-by"
# And those of TPU slices, named as Cloud TPU names them.
ATTRIBUTE_TPU_NAME = "tpu-name"
ATTRIBUTE_TPU_WORKER_ID = "tpu-worker-id"
ATTRIBUTE_TPU_TOPOLOGY = "tpu-topology"


class VmState(Enum):
    """Where a VM, or a slice as a whole, stands in its life."""

    REQUESTING = "requesting"
    BOOTING = "booting"
    INITIALIZING = "initializing"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    STOPPING = "stopping"
    TERMINATED = "terminated"
    FAILED = "failed"
    PREEMPTED = "preempted"

    @property
    def is_gone(self) -> bool:
        """Whether it no longer exists and never will again."""
        return self in (VmState.TERMINATED, VmState.FAILED, VmState.PREEMPTED)


@dataclass(frozen=True, slots=True)
class VmPhase:
    """One state in a VM's life. `problem`: why it is in it, or what is wrong; may be empty."""

    state: VmState
    began_at: datetime
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ManagedVm:
    """One machine of a slice, as its platform sees it.

    Attributes:
        step: What is being done there, while it comes up; may be empty.
        phases: Its life so far, oldest first; the last one is `state`. Empty where its platform does not tell.
    """

    vm_id: str
    state: VmState
    worker_id: WorkerId
    address: str = ""
    problem: str = ""
    step: str = ""
    phases: tuple[VmPhase, ...] = ()


@dataclass(frozen=True, slots=True)
class ScaleGroup:
    """A kind of slice that can be bought.

    Attributes:
        platform: Who sells it, by the name of its provider: "local", "manual", "tpu" or "slurm".
        vm: What one VM has, for tasks.
        attributes: Of every worker; the per-slice and per-VM ones come on top.
        priority: Lower is tried first.
        buffer_slices: Slices that are kept ready beyond what is in use, within max_slices.
        zones: Where its slices may be bought; empty where its platform knows no zones.
        runtime_version: Software of a TPU VM, as Cloud TPU names it; empty: the platform's choice.
    """

    name: str
    platform: str
    vm: Resources
    vms_per_slice: int = 1
    min_slices: int = 0
    max_slices: int = 1
    priority: int = 100
    accelerator_type: str = ""
    accelerator_variant: str = ""
    preemptible: bool = False
    attributes: tuple[tuple[str, str], ...] = field(default=())
    buffer_slices: int = 0
    zones: tuple[str, ...] = ()
    runtime_version: str = ""

    @property
    def is_tpu(self) -> bool:
        """Whether its slices are TPU pods."""
        return self.accelerator_type == "tpu"


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice that was bought, or is being bought."""

    slice_id: SliceId
    scale_group: str
    state: VmState
    created_at: datetime
    vms: tuple[ManagedVm, ...] = ()
    problem: str = ""


def slice_attributes(
    group: ScaleGroup, slice_id: SliceId, vm_index: int, topology: str = ""
) -> dict[str, str]:
    """The attributes of the worker on VM number `vm_index` of a slice: the group's, the slice's and its own."""
    attributes = dict(group.attributes)
    attributes[ATTRIBUTE_SCALE_GROUP] = group.name
    attributes[ATTRIBUTE_SLICE] = slice_id
    attributes[ATTRIBUTE_PREEMPTIBLE] = "true" if group.preemptible else "false"
    if group.is_tpu:
        attributes[ATTRIBUTE_TPU_NAME] = slice_id
        attributes[ATTRIBUTE_TPU_WORKER_ID] = str(vm_index)
        attributes[ATTRIBUTE_TPU_TOPOLOGY] = topology
    return attributes
