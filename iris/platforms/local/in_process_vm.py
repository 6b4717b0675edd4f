"""A VM whose worker lives in this process: there at once, and small."""

import asyncio
from pathlib import Path

from iris.host.files import private_folder
from iris.platforms.local.local_vm import VmIdentity
from iris.platforms.local.machine import LocalMachine
from iris.worker.worker import Worker, WorkerOptions


class InProcessVm:
    """See LocalVm."""

    def __init__(self, identity: VmIdentity, machine: LocalMachine) -> None:
        self._identity = identity
        self._machine = machine
        self._worker: Worker | None = None
        self._killed = asyncio.Event()

    @property
    def folder(self) -> Path:
        """See LocalVm."""
        return self._machine.vm_folder(self._identity.vm_id)

    async def boot(self) -> None:
        """See LocalVm."""
        host = await self._machine.host()
        options = worker_options(self._identity, self._machine, private_folder(self.folder))
        self._worker = host.worker(options, self._identity.environment())
        await self._worker.start()

    async def registered(self) -> None:
        """See LocalVm."""
        assert self._worker is not None
        await self._worker.registered()

    async def ended(self) -> str:
        """See LocalVm."""
        assert self._worker is not None
        failed = asyncio.ensure_future(self._worker.wait_failed())
        killed = asyncio.ensure_future(self._killed.wait())
        try:
            await asyncio.wait((failed, killed), return_when=asyncio.FIRST_COMPLETED)
            return str(failed.result()) if failed.done() else "its worker was killed"
        finally:
            failed.cancel()
            killed.cancel()

    async def kill(self) -> None:
        """See LocalVm."""
        if self._worker is not None:
            await self._worker.crash()
            self._killed.set()

    async def end(self) -> None:
        """See LocalVm."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await worker.stop("its machine is given back")

    @property
    def can_run_on(self) -> bool:
        """See LocalVm. It is part of this process, and ends with it."""
        return False

    def let_go(self) -> None:
        """See LocalVm."""


def worker_options(identity: VmIdentity, machine: LocalMachine, folder: Path) -> WorkerOptions:
    """What the VM's worker has to know."""
    options = machine.options
    return WorkerOptions(
        worker_id=identity.worker_id,
        controller_address=options.controller_address(),
        token=options.token,
        slice_id=identity.slice_id,
        scale_group=identity.group.name,
        work_dir=folder,
        inherit_env=options.inherit_env,
        stop_grace=options.stop_grace,
        secret_env=options.secret_env,
        max_processes=options.max_processes,
        max_open_files=options.max_open_files,
        health=options.health,
    )
