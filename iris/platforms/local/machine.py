"""This machine, as all local scale groups of a cluster share it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from iris_proto import cluster_pb2

from iris.host.clock import Clock
from iris.host.files import private_folder
from iris.host.ids import IdSource
from iris.host.ports import PortAllocator
from iris.model.resources import GIB
from iris.platforms.init_log import InitLogs
from iris.platforms.local.budget import MachineBudget
from iris.platforms.local.worker_record import discard_vm_folders
from iris.rpc.convert_job import resources_to_proto
from iris.worker.health.options import DEFAULT_HEALTH, HealthOptions
from iris.worker.host import WorkerHost, WorkerHostOptions
from iris.worker.options import DEFAULT_SECRET_ENV

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalMachineOptions:
    """What the machine's VMs need to know.

    Attributes:
        controller_address: Known only once the controller serves; asked when the first VM is made.
        cache_dir: For unpacked bundles; this machine's alone.
        vm_dir: For the VMs' folders, each gone with its VM; this machine's alone.
        lease_dir: For leases of ports; shared with whoever shares this machine's ports.
        inherit_env: What tasks see of this process's environment.
        stop_grace: Where a job does not say.
        secret_env: See WorkerOptions, also for max_processes, max_open_files and health.
    """

    controller_address: Callable[[], str]
    token: str
    cache_dir: Path
    vm_dir: Path
    lease_dir: Path
    inherit_env: Mapping[str, str]
    stop_grace: timedelta
    bundle_cache_bytes: int
    environment_cache_bytes: int = 20 * GIB
    secret_env: tuple[str, ...] = DEFAULT_SECRET_ENV
    max_processes: int = 32768
    max_open_files: int = 65536
    health: HealthOptions = DEFAULT_HEALTH


class LocalMachine:
    """One budget, one port allocator and one host of in-process workers for all groups. Belongs to one event loop."""

    def __init__(
        self, options: LocalMachineOptions, budget: MachineBudget, *, clock: Clock, ids: IdSource
    ) -> None:
        self.options = options
        self.budget = budget
        self.clock = clock
        self.ids = ids
        private_folder(options.cache_dir)
        self.ports = PortAllocator(options.lease_dir)
        self.init_logs = InitLogs(clock.now)
        self._host: WorkerHost | None = None
        self._kept: set[str] = set()

    def vm_folder(self, vm_id: str) -> Path:
        """Where that VM keeps what is its own."""
        return self.options.vm_dir / vm_id.replace("/", "-")

    def keep(self, vm_ids: Iterable[str]) -> None:
        """Those VMs were made by an earlier controller, but are ours now."""
        self._kept.update(self.vm_folder(vm_id).name for vm_id in vm_ids)

    async def discard_old_vms(self) -> None:
        """Ends what is left of VMs of an earlier controller that are not kept, and removes their folders. Before the
        first VM is made. Raises FailedPrecondition if one cannot be ended.
        """
        found = await asyncio.to_thread(
            discard_vm_folders, self.options.vm_dir, keep=frozenset(self._kept)
        )
        if found:
            _LOG.warning("ended what an earlier controller had left: %s", ", ".join(found))

    async def host(self) -> WorkerHost:
        """The host of the workers in this process, ready; made when it is first needed."""
        if self._host is None:
            self._host = WorkerHost(
                self.host_options(self.options.cache_dir / "bundles"),
                ports=self.ports,
                clock=self.clock,
                ids=self.ids,
            )
        await self._host.start()
        return self._host

    def host_options(self, bundle_dir: Path) -> WorkerHostOptions:
        """What a host of workers on this machine needs to know; `bundle_dir` is its process's own."""
        options = self.options
        return WorkerHostOptions(
            options.controller_address(),
            options.token,
            bundle_dir,
            options.bundle_cache_bytes,
            options.environment_cache_bytes,
        )

    def status(self) -> cluster_pb2.MachineBudget:
        """The budget, for the cluster's status."""
        return cluster_pb2.MachineBudget(
            total=resources_to_proto(self.budget.total),
            reserved=resources_to_proto(self.budget.reserved),
            oversubscribed=self.budget.oversubscribed,
        )

    async def close(self) -> None:
        """After all groups have stopped: ends the host and gives all ports back. Idempotent."""
        if self._host is not None:
            await self._host.close()
            self._host = None
        self.ports.close()
