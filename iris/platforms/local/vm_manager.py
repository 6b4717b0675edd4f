"""Sells slices of one scale group on this machine."""

import asyncio
from collections.abc import Callable, Mapping
from enum import Enum

from iris.model.fleet import ScaleGroup
from iris.model.ids import SliceId
from iris.platforms.local.in_process_vm import InProcessVm
from iris.platforms.local.local_vm import LocalVm, VmIdentity
from iris.platforms.local.machine import LocalMachine
from iris.platforms.local.subprocess_vm import SubprocessVm
from iris.platforms.local.vm_group import LocalVmGroup


class WorkerHosting(Enum):
    """Where a VM's worker runs."""

    IN_PROCESS = "in process"
    SUBPROCESS = "subprocess"


_VM_TYPES: dict[WorkerHosting, Callable[[VmIdentity, LocalMachine], LocalVm]] = {
    WorkerHosting.IN_PROCESS: InProcessVm,
    WorkerHosting.SUBPROCESS: SubprocessVm,
}


class LocalVmManager:
    """See VmManagerProtocol. Belongs to one event loop.

    Raises InvalidArgument when not even one slice of the group fits this machine.
    """

    def __init__(
        self,
        group: ScaleGroup,
        machine: LocalMachine,
        *,
        hosting: WorkerHosting = WorkerHosting.IN_PROCESS,
    ) -> None:
        machine.budget.check_shape(group)
        self._group = group
        self._machine = machine
        self._hosting = hosting
        self._groups: dict[SliceId, LocalVmGroup] = {}

    @property
    def scale_group(self) -> ScaleGroup:
        """See VmManagerProtocol."""
        return self._group

    async def create_vm_group(self, tags: Mapping[str, str]) -> LocalVmGroup:
        """See VmManagerProtocol. Local slices die with this process: there is nobody who would
        have to find the tags."""
        slice_id = SliceId(self._machine.ids.fresh(self._group.name))
        self._machine.budget.reserve(slice_id, self._group)
        group = LocalVmGroup(
            self._group, slice_id, self._machine, make_vm=self._make_vm, on_end=self._forget
        )
        self._groups[slice_id] = group
        group.begin()
        return group

    async def discover_vm_groups(self) -> tuple[LocalVmGroup, ...]:
        """See VmManagerProtocol. Local slices end with the process that made them, so these are all there are."""
        return tuple(self._groups.values())

    async def stop(self) -> None:
        """See VmManagerProtocol."""
        await asyncio.gather(*(group.terminate() for group in self._groups.values()))

    def _make_vm(self, identity: VmIdentity) -> LocalVm:
        return _VM_TYPES[self._hosting](identity, self._machine)

    def _forget(self, group: LocalVmGroup) -> None:
        self._groups.pop(group.slice_id, None)
