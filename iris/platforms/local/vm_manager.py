"""Sells slices of one scale group on this machine."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from enum import Enum

from iris.model.errors import FailedPrecondition, IrisError, NotFound
from iris.model.faults import Fault, FaultKind
from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.platforms.local.faults import PendingFaults
from iris.platforms.local.handed_over import HandedOverSlice, shape_of
from iris.platforms.local.in_process_vm import InProcessVm
from iris.platforms.local.local_vm import LocalVm, VmIdentity
from iris.platforms.local.machine import LocalMachine
from iris.platforms.local.subprocess_vm import SubprocessVm
from iris.platforms.local.vm_group import LocalVmGroup

_LOG = logging.getLogger(__name__)


class WorkerHosting(Enum):
    """Where a VM's worker runs."""

    IN_PROCESS = "in process"
    SUBPROCESS = "subprocess"


_VM_TYPES: dict[WorkerHosting, Callable[[VmIdentity, LocalMachine], LocalVm]] = {
    WorkerHosting.IN_PROCESS: InProcessVm,
    WorkerHosting.SUBPROCESS: SubprocessVm,
}


class LocalVmManager:
    """See VmManagerProtocol. Belongs to one event loop; make it there.

    Raises InvalidArgument when not even one slice of the group fits this machine.

    Args:
        handed_over: Slices of the group that an earlier controller left running. Those that the group
            would not make like that any more are ended.
    """

    def __init__(
        self,
        group: ScaleGroup,
        machine: LocalMachine,
        *,
        hosting: WorkerHosting = WorkerHosting.IN_PROCESS,
        handed_over: Iterable[HandedOverSlice] = (),
    ) -> None:
        machine.budget.check_shape(group)
        self._group = group
        self._machine = machine
        self._hosting = hosting
        self._groups: dict[SliceId, LocalVmGroup] = {}
        self._faults = PendingFaults()
        for one in handed_over:
            self._take_over(one)

    @property
    def scale_group(self) -> ScaleGroup:
        """See VmManagerProtocol."""
        return self._group

    async def create_vm_group(self, tags: Mapping[str, str]) -> LocalVmGroup:
        """See VmManagerProtocol. Local slices die with this process, or are handed over by it: there
        is nobody who would have to find the tags."""
        self._faults.check_refusal(self._group.name)
        slice_id = SliceId(self._machine.ids.fresh(self._group.name))
        self._machine.budget.reserve(slice_id, self._group)
        group = LocalVmGroup(
            self._group, slice_id, self._machine, make_vm=self._make_vm, on_end=self._forget
        )
        self._groups[slice_id] = group
        group.begin(self._faults.next_boot())
        return group

    async def discover_vm_groups(self) -> tuple[LocalVmGroup, ...]:
        """See VmManagerProtocol. Local slices end with the process that made them, unless it handed
        them over, so these are all there are.
        """
        return tuple(self._groups.values())

    async def stop(self) -> None:
        """See VmManagerProtocol."""
        await asyncio.gather(*(group.terminate() for group in self._groups.values()))

    async def hand_over(self) -> list[HandedOverSlice]:
        """Leaves all slices that can be to the next controller, and ends the others."""
        handed = await asyncio.gather(*(group.hand_over() for group in self._groups.values()))
        return [one for one in handed if one is not None]

    def _take_over(self, handed: HandedOverSlice) -> None:
        try:
            if (handed.shape, self._hosting) != (shape_of(self._group), WorkerHosting.SUBPROCESS):
                raise FailedPrecondition(f"scale group {self._group.name!r} has changed")
            self._machine.budget.reserve(handed.slice_id, self._group)
        except IrisError as error:
            _LOG.info("slice %s is not taken over: %s", handed.slice_id, error)
            handed.refuse()
            return
        group = LocalVmGroup(
            self._group,
            handed.slice_id,
            self._machine,
            make_vm=lambda identity: SubprocessVm(
                identity, self._machine, handed.workers[identity.index]
            ),
            on_end=self._forget,
            found_from=handed.created_at,
        )
        self._machine.keep(vm.vm_id for vm in group.vms())
        self._groups[handed.slice_id] = group
        group.begin()

    def has(self, slice_or_vm: str) -> bool:
        """Whether a slice, or a VM of one, is here."""
        return SliceId(slice_or_vm.rpartition("/")[0] or slice_or_vm) in self._groups

    async def inject(self, fault: Fault) -> str:
        """Breaks something on purpose; what was done, for people. Raises NotFound for a slice or a VM that is not
        here, FailedPrecondition for one that is not in a state to be broken.
        """
        if fault.kind.is_for_slices_to_come:
            self._faults.add(fault)
            slices = "the next slice" if fault.count == 1 else f"the next {fault.count} slices"
            return f"{fault.kind.value}: waits for {slices} of {self._group.name}"
        slice_id = (
            fault.target if fault.kind is FaultKind.PREEMPT else fault.target.rpartition("/")[0]
        )
        group = self._groups.get(SliceId(slice_id))
        if group is None or fault.target not in (slice_id, *(vm.vm_id for vm in group.vms())):
            what = "slice" if fault.kind is FaultKind.PREEMPT else "VM"
            raise NotFound(f"{self._group.name} has no {what} {fault.target!r}.")
        if fault.kind is FaultKind.PREEMPT:
            await group.preempt()
            return f"{fault.target} was taken back"
        await group.kill(fault.target)
        return f"{fault.target} was killed"

    def _make_vm(self, identity: VmIdentity) -> LocalVm:
        return _VM_TYPES[self._hosting](identity, self._machine)

    def _forget(self, group: LocalVmGroup) -> None:
        self._groups.pop(group.slice_id, None)
