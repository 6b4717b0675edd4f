"""All parts of a cluster on this machine, put together: the one place that knows the controller,
the autoscaler and the local platform.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from iris_proto import config_pb2

from iris.autoscaler.autoscaler import Autoscaler
from iris.autoscaler.settings import AutoscalerSettings
from iris.config.budget import machine_budget
from iris.controller.controller import Controller
from iris.controller.convert_config import retention, scheduling_policy
from iris.controller.options import ControllerOptions, UnschedulablePolicy
from iris.controller.store import StoredScalingMemory
from iris.host.budget import this_machine
from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.lifecycle.local.faults import FaultInjection
from iris.lifecycle.local.handshake import Launch
from iris.lifecycle.local.reload import HandOver, guard_port
from iris.lifecycle.local.vm_managers import VmManagers, end_slices, hand_over_slices
from iris.lifecycle.state_folder import StateFolder, working_folders_of
from iris.platforms.local.budget import MachineBudget
from iris.platforms.local.machine import LocalMachine, LocalMachineOptions
from iris.version import VERSION
from iris.worker.health.options import HealthOptions

_log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
_POLICIES = {
    config_pb2.REFUSE: UnschedulablePolicy.REFUSE,
    config_pb2.ACCEPT: UnschedulablePolicy.ACCEPT,
}


class LocalControlPlane:
    """One cluster, from `start` to `stop` or `hand_over`. Belongs to one event loop; make it there.

    `handed`: what the controller that this process was before has left.
    """

    def __init__(
        self,
        launch: Launch,
        folder: StateFolder,
        *,
        token: str,
        clock: Clock,
        ids: IdSource,
        handed: HandOver | None = None,
    ) -> None:
        self._config = launch.config
        self._handed = handed
        working = working_folders_of(self._config, folder)
        self._machine = LocalMachine(
            LocalMachineOptions(
                # The first machines are made while the controller is still starting.
                controller_address=lambda: self._controller.address,
                token=token,
                cache_dir=working.cache,
                vm_dir=working.vms,
                lease_dir=folder.leases,
                inherit_env=launch.inherit_env,
                stop_grace=self._config.worker.stop_grace.ToTimedelta(),
                bundle_cache_bytes=self._config.worker.bundle_cache_size,
                environment_cache_bytes=self._config.worker.environment_cache_size,
                secret_env=tuple(self._config.worker.secret_env),
                max_processes=self._config.worker.max_processes,
                max_open_files=self._config.worker.max_open_files,
                health=_health_options(self._config.worker.health),
            ),
            MachineBudget(
                machine_budget(self._config, this_machine(folder.path)),
                oversubscribe=self._config.controller_vm.local.machine.oversubscribe,
            ),
            clock=clock,
            ids=ids,
        )
        self._managers = VmManagers(
            self._config,
            self._machine,
            address=lambda: self._controller.address,
            token=token,
            ship_dir=working.cache / "ship",
            clock=clock,
            ids=ids,
        ).make(handed.slices if handed is not None else ())
        self._autoscaler = Autoscaler(
            self._managers,
            _autoscaler_settings(self._config),
            clock=clock,
            ids=ids,
            memory=StoredScalingMemory(lambda: self._controller.store),
        )
        self._controller = Controller(
            _controller_options(
                self._config,
                folder,
                token,
                self._machine,
                handed.port if handed else 0,
                FaultInjection(self._managers),
            ),
            planner=self._autoscaler,
            clock=clock,
            ids=ids,
        )

    @property
    def incarnation(self) -> str:
        """The controller's, as its Health answer says it."""
        return self._controller.incarnation_id

    async def start(self) -> str:
        """Serves from then on; returns `host:port`. Raises FailedPrecondition where the port or the
        state cannot be had.
        """
        await self._machine.discard_old_vms()
        address = await self._controller.start()
        if self._handed is not None:
            self._handed.let_port_go()
        return address

    async def wait_failed(self) -> BaseException:
        """Returns only if something ended that must not."""
        return await self._controller.wait_failed()

    async def stop(self) -> None:
        """From the top down: nothing new is bought, then the machines go with all they run, then
        the controller.

        Whatever fails on the way is logged, and the rest still stopped. Idempotent.
        """
        await _logged("the autoscaler", self._autoscaler.stop)
        await _logged("the slices", lambda: end_slices(self._managers))
        await self._stop_managers()
        await _logged("the controller", self._controller.stop)
        await _logged("the machine", self._machine.close)

    async def hand_over(self) -> HandOver:
        """As `stop`, but machines that can run on without this controller do, with their tasks."""
        await _logged("the autoscaler", self._autoscaler.stop)
        slices = await hand_over_slices(self._managers)
        await self._stop_managers()
        await _logged("the controller", self._controller.stop)
        port = int(self._controller.address.rpartition(":")[2])
        guard = guard_port(_LOOPBACK, port)
        await _logged("the machine", self._machine.close)
        return HandOver(port, slices, guard)

    async def _stop_managers(self) -> None:
        await asyncio.gather(
            *(_logged(f"scale group {one.scale_group.name}", one.stop) for one in self._managers)
        )


async def _logged(what: str, stop: Callable[[], Awaitable[None]]) -> None:
    try:
        await stop()
    except Exception:  # noqa: BLE001 - the rest has to be stopped all the same
        _log.exception("stopping %s failed", what)


def _health_options(said: config_pb2.WorkerHealthConfig) -> HealthOptions:
    return HealthOptions(
        min_disk_bytes=said.min_disk,
        min_memory_bytes=said.min_memory,
        max_clock_skew=said.max_clock_skew.ToTimedelta(),
        interval=said.interval.ToTimedelta(),
    )


def _autoscaler_settings(config: config_pb2.ClusterConfig) -> AutoscalerSettings:
    said = config.autoscaler
    return AutoscalerSettings(
        idle_timeout=said.idle_timeout.ToTimedelta(),
        interval=said.interval.ToTimedelta(),
        boot_timeout=config.timeouts.boot_timeout.ToTimedelta(),
        call_timeout=config.timeouts.call_timeout.ToTimedelta(),
        backoff_min=said.backoff_min.ToTimedelta(),
        backoff_max=said.backoff_max.ToTimedelta(),
        health_window=said.health_window.ToTimedelta(),
        short_lived=said.short_lived.ToTimedelta(),
        launches_per_minute=said.launches_per_minute,
        launch_batch=said.launch_batch,
        max_parallel_calls=said.max_parallel_calls,
    )


def _controller_options(
    config: config_pb2.ClusterConfig,
    folder: StateFolder,
    token: str,
    machine: LocalMachine,
    port: int,
    faults: FaultInjection,
) -> ControllerOptions:
    worker = config.worker
    return ControllerOptions(
        cluster=config.name,
        version=VERSION,
        host=_LOOPBACK,
        port=port or config.controller_vm.local.port,
        state_dir=folder.path,
        bundle_dir=working_folders_of(config, folder).bundles,
        token=token,
        unschedulable=_POLICIES[config.submission.unschedulable],
        max_bundle_bytes=config.submission.max_bundle_size,
        max_replicas=config.submission.max_replicas,
        lost_after=worker.lost_after.ToTimedelta(),
        heartbeat_interval=worker.heartbeat_interval.ToTimedelta(),
        stop_grace=worker.stop_grace.ToTimedelta(),
        log_flush_timeout=worker.log_flush_timeout.ToTimedelta(),
        machine=machine.status,
        vm_log=machine.init_logs.text,
        inject_fault=faults.inject if config.controller_vm.local.fault_injection else None,
        scheduling=scheduling_policy(config.scheduling),
        retention=retention(config.retention),
    )
