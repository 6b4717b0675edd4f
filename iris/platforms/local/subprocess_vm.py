"""A VM whose worker is a process of its own: it can be killed for real, and takes only its own tasks with it."""

import os
import sys
from pathlib import Path

from iris.host.files import private_folder
from iris.model.errors import Unavailable
from iris.platforms.local.in_process_vm import worker_options
from iris.platforms.local.linked_process import LinkedProcess, ProcessLinks
from iris.platforms.local.local_vm import VmIdentity
from iris.platforms.local.machine import LocalMachine
from iris.platforms.local.worker_process import REGISTERED, WorkerProcessOptions
from iris.platforms.local.worker_record import write_worker_record
from iris.worker.python_environment.uv_program import machine_settings

_MODULE = "iris.platforms.local.worker_main"
# What the process writes, in the VM's folder: the second part of its init log.
_LOG = "worker.log"
# For an orderly end; after that it is killed, and its supervisors end its tasks.
_END_SECONDS = 10.0


class SubprocessVm:
    """See LocalVm. `links`: of a worker that runs already, for an earlier controller."""

    def __init__(
        self, identity: VmIdentity, machine: LocalMachine, links: ProcessLinks | None = None
    ) -> None:
        self._identity = identity
        self._machine = machine
        self._process = None if links is None else LinkedProcess(links)
        if links is not None:
            machine.init_logs.of(identity.vm_id).follow(self.folder / _LOG)

    @property
    def folder(self) -> Path:
        """See LocalVm."""
        return self._machine.vm_folder(self._identity.vm_id)

    @property
    def pid(self) -> int | None:
        """Of its worker's process; None before it boots."""
        return None if self._process is None else self._process.pid

    async def boot(self) -> None:
        """See LocalVm."""
        folder = private_folder(self.folder)
        options = WorkerProcessOptions(
            worker_options(self._identity, self._machine, private_folder(folder / "work")),
            self._machine.host_options(folder / "bundles"),
            self._identity.environment(),
            self._machine.options.lease_dir,
        )
        # Where this process finds its modules the child does, however they came here; nothing else is inherited.
        # (Besides that, uv's settings, for jobs' Python environments.)
        environment = machine_settings(os.environ) | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PATH": os.defpath,
        }
        argv = (sys.executable, "-P", "-s", "-m", _MODULE)
        self._machine.init_logs.of(self._identity.vm_id).follow(folder / _LOG)
        self._process = LinkedProcess.spawn(argv, environment, folder / _LOG)
        write_worker_record(folder, self._process.pid)
        await self._process.tell(options.to_json())

    async def registered(self) -> None:
        """See LocalVm."""
        assert self._process is not None
        said = await self._process.next_line()
        if said != REGISTERED:
            raise Unavailable(
                f"The worker of {self._identity.vm_id} did not come up: {said or await self._how_it_ended()}.",
                hint=f"What it wrote: iris cluster vm-log {self._identity.vm_id}",
            )

    async def ended(self) -> str:
        """See LocalVm."""
        assert self._process is not None
        return await self._process.next_line() or await self._how_it_ended()

    async def kill(self) -> None:
        """See LocalVm."""
        if self._process is not None:
            self._process.kill()

    async def end(self) -> None:
        """See LocalVm."""
        process, self._process = self._process, None
        if process is not None:
            await process.end(_END_SECONDS)

    @property
    def can_run_on(self) -> bool:
        """See LocalVm."""
        return self._process is not None and not self._process.is_silent

    def let_go(self) -> ProcessLinks | None:
        """See LocalVm."""
        process, self._process = self._process, None
        return None if process is None else process.let_go()

    async def _how_it_ended(self) -> str:
        assert self._process is not None
        code = await self._process.wait()
        return (
            f"its process was killed by signal {-code}"
            if code < 0
            else f"its process ended with exit code {code}"
        )
