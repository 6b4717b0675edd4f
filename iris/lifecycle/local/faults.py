"""Who carries out a fault: the platform of the scale group, slice or VM that it is for."""

from collections.abc import Sequence

from iris.model.errors import FailedPrecondition, NotFound
from iris.model.faults import Fault
from iris.platforms.local.vm_manager import LocalVmManager
from iris.platforms.protocols import VmManagerProtocol


class FaultInjection:
    """Finds it among the platforms of a cluster. Belongs to one event loop."""

    def __init__(self, managers: Sequence[VmManagerProtocol]) -> None:
        self._managers = managers

    async def inject(self, fault: Fault) -> str:
        """What was done, for people. Raises NotFound, and FailedPrecondition for a target that it cannot be done to."""
        if fault.kind.is_for_slices_to_come:
            return await self._local(fault, self._selling(fault.target)).inject(fault)
        for manager in self._managers:
            if isinstance(manager, LocalVmManager) and manager.has(fault.target):
                return await manager.inject(fault)
        raise NotFound(
            f"There is no local slice or VM {fault.target!r}.",
            hint="`iris cluster status` shows those there are; others cannot be broken on purpose.",
        )

    def _selling(self, group: str) -> VmManagerProtocol:
        for manager in self._managers:
            if manager.scale_group.name == group:
                return manager
        names = ", ".join(manager.scale_group.name for manager in self._managers)
        raise NotFound(f"There is no scale group {group!r}.", hint=f"There are: {names}.")

    def _local(self, fault: Fault, manager: VmManagerProtocol) -> LocalVmManager:
        if isinstance(manager, LocalVmManager):
            return manager
        platform = manager.scale_group.platform
        raise FailedPrecondition(
            f"Slices of {fault.target}, which are of the platform {platform!r}, cannot be broken on purpose.",
            hint="Those of local groups can.",
        )
