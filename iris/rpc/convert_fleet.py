"""Scale groups, slices and VMs onto the wire, and what workers say of their health."""

from collections.abc import Iterable

from iris_proto import cluster_pb2

from iris.model.fleet import ManagedVm, ScaleGroup, Slice, VmState
from iris.model.health import HealthProblem
from iris.rpc.convert_job import resources_to_proto
from iris.rpc.convert_values import EnumTable, timestamp_to_proto

VM_STATES = EnumTable(VmState, cluster_pb2.VmState, "VM_")
# What is taken over of what a worker says of itself: far more than its checks ever find.
_MOST_PROBLEMS = 32
_MOST_TEXT = 1_000


def vm_to_proto(vm: ManagedVm) -> cluster_pb2.VmStatus:
    """One machine."""
    return cluster_pb2.VmStatus(
        vm_id=vm.vm_id,
        state=VM_STATES.to_proto(vm.state),
        worker_id=vm.worker_id,
        address=vm.address,
        problem=vm.problem,
        step=vm.step,
        phases=[
            cluster_pb2.VmPhase(
                state=VM_STATES.to_proto(phase.state),
                began_at=timestamp_to_proto(phase.began_at),
                problem=phase.problem,
            )
            for phase in vm.phases
        ],
    )


def slice_to_proto(slice_: Slice, group_id: str = "") -> cluster_pb2.VmGroupStatus:
    """One slice; `group_id` is the platform's own name for it, where that is known."""
    return cluster_pb2.VmGroupStatus(
        group_id=group_id,
        slice_id=slice_.slice_id,
        scale_group=slice_.scale_group,
        state=VM_STATES.to_proto(slice_.state),
        created_at=timestamp_to_proto(slice_.created_at),
        vms=[vm_to_proto(vm) for vm in slice_.vms],
        problem=slice_.problem,
    )


def scale_group_to_proto(
    group: ScaleGroup, slices: tuple[Slice, ...], problem: str = ""
) -> cluster_pb2.ScaleGroupStatus:
    """A kind of slice and the slices of it that there are."""
    return cluster_pb2.ScaleGroupStatus(
        name=group.name,
        platform=group.platform,
        vm=resources_to_proto(group.vm),
        vms_per_slice=group.vms_per_slice,
        min_slices=group.min_slices,
        max_slices=group.max_slices,
        buffer_slices=group.buffer_slices,
        priority=group.priority,
        accelerator_variant=group.accelerator_variant,
        slices=[slice_to_proto(slice_) for slice_ in slices],
        problem=problem,
    )


def problems_to_proto(problems: Iterable[HealthProblem]) -> list[cluster_pb2.HealthProblem]:
    """Why a worker is not well."""
    return [cluster_pb2.HealthProblem(check=one.check, text=one.text) for one in problems]


def problems_from_proto(
    messages: Iterable[cluster_pb2.HealthProblem],
) -> tuple[HealthProblem, ...]:
    """The same; what is too much of it is cut off."""
    return tuple(
        HealthProblem(one.check[:_MOST_TEXT], one.text[:_MOST_TEXT])
        for one in list(messages)[:_MOST_PROBLEMS]
    )
