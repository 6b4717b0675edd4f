"""Who sells the slices of each scale group: the one place that knows every platform by name."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from iris_proto import config_pb2

from iris.config.groups import scale_groups_of
from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.model.errors import InvalidArgument
from iris.model.fleet import ScaleGroup
from iris.platforms.local.handed_over import HandedOverSlice
from iris.platforms.local.machine import LocalMachine
from iris.platforms.local.vm_manager import LocalVmManager, WorkerHosting
from iris.platforms.manual import ControllerAccess, ManualVmManager, Shipping, manual_options
from iris.platforms.protocols import VmManagerProtocol
from iris.ship import shipped_file

_log = logging.getLogger(__name__)
_HOSTINGS = {
    config_pb2.IN_PROCESS: WorkerHosting.IN_PROCESS,
    config_pb2.SUBPROCESS: WorkerHosting.SUBPROCESS,
}
# For all slices to end when their cluster does. What has not ended by then does so by itself: its workers have lost
# their controller.
_END_SECONDS = 20.0


class VmManagers:
    """Makes them. Belongs to one event loop.

    Args:
        address: The controller's, `host:port`; empty until it serves.
        ship_dir: Where the file that is shipped to machines is made, if nobody made it before.
    """

    def __init__(
        self,
        config: config_pb2.ClusterConfig,
        machine: LocalMachine,
        *,
        address: Callable[[], str],
        token: str,
        ship_dir: Path,
        clock: Clock,
        ids: IdSource,
    ) -> None:
        self._config = config
        self._machine = machine
        self._access = ControllerAccess(address, token)
        self._shipping = Shipping(lambda: shipped_file(ship_dir))
        self._clock = clock
        self._ids = ids

    def make(self, handed: Iterable[HandedOverSlice] = ()) -> list[VmManagerProtocol]:
        """One for each scale group, in the order in which groups are tried. `handed` are slices that
        an earlier controller left on this machine; those of no group any more are ended. Raises
        InvalidArgument for a group that cannot be sold.
        """
        by_group: dict[str, list[HandedOverSlice]] = {}
        for one in handed:
            by_group.setdefault(one.scale_group, []).append(one)
        managers = [
            self._of(group, by_group.pop(group.name, ())) for group in scale_groups_of(self._config)
        ]
        for one in itertools.chain.from_iterable(by_group.values()):
            one.refuse()
        return managers

    def _of(self, group: ScaleGroup, handed: Iterable[HandedOverSlice]) -> VmManagerProtocol:
        match group.platform:
            case "local":
                return LocalVmManager(
                    group, self._machine, hosting=self._hosting(group.name), handed_over=handed
                )
            case "manual":
                return ManualVmManager(
                    group,
                    manual_options(self._config, group.name),
                    self._access,
                    self._shipping,
                    init_logs=self._machine.init_logs,
                    clock=self._clock,
                    ids=self._ids,
                )
        raise InvalidArgument(
            f"Scale group {group.name!r}: slices of the platform {group.platform!r} cannot be had yet.",
            hint="Use provider local or manual.",
        )

    def _hosting(self, group: str) -> WorkerHosting:
        said = self._config.scale_groups[group].provider.local.workers
        return _HOSTINGS[said or self._config.controller_vm.local.workers]


async def hand_over_slices(managers: Sequence[VmManagerProtocol]) -> tuple[HandedOverSlice, ...]:
    """Leaves what these managers sold on this machine to the next controller, where that can be. What others sold
    outlives this process anyway, and is found by the next.
    """
    local = [manager for manager in managers if isinstance(manager, LocalVmManager)]
    handed = await asyncio.gather(*(manager.hand_over() for manager in local))
    return tuple(itertools.chain.from_iterable(handed))


async def end_slices(managers: Sequence[VmManagerProtocol]) -> None:
    """Ends all slices that these managers know of, also those that would outlive this process. Bounded; what goes
    wrong is logged.
    """

    async def end(manager: VmManagerProtocol) -> None:
        groups = await manager.discover_vm_groups()
        await asyncio.gather(*(group.terminate() for group in groups))

    tasks = [asyncio.create_task(end(manager)) for manager in managers]
    if tasks:
        await asyncio.wait(tasks, timeout=_END_SECONDS)
    for task, manager in zip(tasks, managers, strict=True):
        if not task.done():
            task.cancel()
            _log.error("slices of %s did not end in time", manager.scale_group.name)
        elif (error := task.exception()) is not None:
            _log.error("slices of %s: %s", manager.scale_group.name, error)
    await asyncio.gather(*tasks, return_exceptions=True)
