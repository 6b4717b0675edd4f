"""For tests: a controller that does what it is told, and managers of slices on real SSH hosts."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from iris.host.clock import SystemClock
from iris.host.ids import RandomIds
from iris.host.processes import (
    ProcessIdentity,
    all_processes,
    command_line,
    descendants,
    process_strings,
)
from iris.model.errors import Unavailable
from iris.model.fleet import ScaleGroup, VmState
from iris.model.resources import MIB, Resources
from iris.platforms.init_log import InitLogs
from iris.platforms.manual import (
    ControllerAccess,
    ManualOptions,
    ManualVmGroup,
    ManualVmManager,
    Shipping,
    WorkerSettings,
)
from iris.ship import shipped_file
from iris.ssh import SshOptions
from iris.testing.eventually import assert_eventually
from iris.testing.ssh_hosts import SshHost, SshHosts
from iris.worker.scripted_controller import TOKEN, ScriptedController

GROUP = ScaleGroup("lab", "manual", Resources(500, 64 * MIB), vms_per_slice=2, max_slices=2)
_PATIENCE = 60.0
_INIT_LOGS = InitLogs(SystemClock().now)


@dataclass
class World:
    """Hosts, a controller, and what tests ask of both."""

    hosts: SshHosts
    shipping: Shipping
    controller: ScriptedController
    managers: list[ManualVmManager] = field(default_factory=list)

    def options(self, label: str = "test", **changes: object) -> ManualOptions:
        """Of a cluster that uses all hosts."""
        made = ManualOptions(
            label=label,
            hosts=tuple(self.hosts.names),
            ssh=SshOptions(
                config_file=str(self.hosts.config_file), connect_timeout=timedelta(seconds=10)
            ),
            work_dir=f"~/iris-{label}",
            python=os.path.realpath(sys.executable),
            unreachable_after=timedelta(seconds=20),
            worker=WorkerSettings(stop_grace=timedelta(seconds=0.2)),
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    def manager(
        self, options: ManualOptions | None = None, group: ScaleGroup = GROUP
    ) -> ManualVmManager:
        """Of a controller's process; `end` ends all that they made."""
        access = ControllerAccess(lambda: self.controller.address, TOKEN)
        made = ManualVmManager(
            group,
            options or self.options(),
            access,
            self.shipping,
            init_logs=_INIT_LOGS,
            clock=SystemClock(),
            ids=RandomIds(),
        )
        self.managers.append(made)
        return made

    async def end(self) -> None:
        """Of every cluster that a test had."""
        for manager in self.managers:
            with contextlib.suppress(Unavailable):  # all its hosts are as the test has broken them
                for group in await manager.discover_vm_groups():
                    await group.terminate()
            await manager.stop()
        for host in self.hosts.hosts:
            assert claims_on(host) == [], host.name


@asynccontextmanager
async def world(hosts: SshHosts, shipped: Path) -> AsyncIterator[World]:
    """Ends with nothing of a cluster on any host."""
    controller = ScriptedController()
    await controller.start()
    made = World(hosts, Shipping(lambda: shipped), controller)
    try:
        yield made
        await made.end()
    finally:
        await asyncio.gather(*(manager.stop() for manager in made.managers))
        await controller.stop()


def claims_on(host: SshHost) -> list[Path]:
    """The claim on a host, if there is one, and folders of VMs."""
    return [*host.home.glob(".local/state/iris-host/claim.json"), *host.home.glob("iris-*/vms/*")]


def shipped(folder: Path) -> Path:
    """The file that hosts get."""
    return shipped_file(folder)


def workers_on(host: SshHost, what: str = "run.py worker") -> list[ProcessIdentity]:
    """Processes that have the host's home, with a word of their command line: its worker by default, without
    what that started.
    """
    home = f"HOME={host.home}"
    found = [
        one
        for one in all_processes()
        if what in command_line(one) and home in process_strings(one, "environ")
    ]
    below = {child for one in found for child in descendants(one)}
    return [one for one in found if one not in below]


@contextlib.contextmanager
def stopped(hosts: SshHosts, host: SshHost) -> Iterator[None]:
    """Its server is down for a while."""
    hosts.stop(host)
    try:
        yield
    finally:
        hosts.start(host)


async def until(group: ManualVmGroup, *states: VmState) -> None:
    """Waits until the slice is in one of these."""
    await assert_eventually(
        lambda: group.status() in states,
        f"{[state.name for state in states]}; {group.problem()}\n{logs(group)}",
        timeout=_PATIENCE,
    )


def logs(group: ManualVmGroup) -> str:
    """Of all its VMs."""
    return "\n".join(log_of(vm) for vm in group.vm_ids())


def log_of(vm_id: str) -> str:
    """Of one VM, also of one that is gone."""
    return "\n".join(_INIT_LOGS.find(vm_id).said())


def worker_ids(controller: ScriptedController) -> Sequence[str]:
    """Of the workers that have said hello, in order."""
    return sorted(stream.hello.worker_id for stream in controller.streams)
