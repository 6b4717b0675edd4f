"""A VM whose worker is a process of its own: it can be killed for real, and takes only its own tasks with it."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

from iris.host.files import private_folder
from iris.model.errors import Unavailable
from iris.platforms.local.in_process_vm import worker_options
from iris.platforms.local.local_vm import VmIdentity
from iris.platforms.local.machine import LocalMachine
from iris.platforms.local.worker_process import REGISTERED, WorkerProcessOptions
from iris.worker.python_environment.uv_program import machine_settings

_MODULE = "iris.platforms.local.worker_main"
# For an orderly end; after that it is killed, and its supervisors end its tasks.
_END_SECONDS = 10.0


class SubprocessVm:
    """See LocalVm."""

    def __init__(self, identity: VmIdentity, machine: LocalMachine) -> None:
        self._identity = identity
        self._machine = machine
        self._process: asyncio.subprocess.Process | None = None

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
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-s", "-m", _MODULE,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment,
        )  # fmt: skip
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(options.to_json().encode() + b"\n")
            await self._process.stdin.drain()
        said = await self._next_line()
        if said != REGISTERED:
            raise Unavailable(
                f"The worker of {self._identity.vm_id} did not come up: {said or await self._how_it_ended()}."
            )

    async def ended(self) -> str:
        """See LocalVm."""
        return await self._next_line() or await self._how_it_ended()

    async def end(self) -> None:
        """See LocalVm."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _next_line(self) -> str:
        assert self._process is not None and self._process.stdout is not None
        return (await self._process.stdout.readline()).decode(errors="replace").strip()

    async def _how_it_ended(self) -> str:
        assert self._process is not None
        code = await self._process.wait()
        return (
            f"its process was killed by signal {-code}"
            if code < 0
            else f"its process ended with exit code {code}"
        )
