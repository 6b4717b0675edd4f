"""For tests: a controller and a worker, each a process of its own that can be killed and started
anew.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from iris.client.client import Client
from iris.host.ports import PortAllocator
from iris.model.ids import SliceId, WorkerId
from iris.model.resources import GIB, Resources
from iris.platforms.local.worker_process import REGISTERED, WorkerProcessOptions
from iris.worker.environment import LocalEnvironmentProvider
from iris.worker.host import WorkerHostOptions
from iris.worker.worker import WorkerOptions

_TOKEN = "the-cluster's-token"


@dataclass(slots=True)
class Program:
    """One of the two processes.

    Attributes:
        arguments: Of the interpreter.
        first_words: What it is told when it starts; its standard input then stays open.
        ready: What it says once it does its work.
        log: Where what it writes to standard error goes.
    """

    arguments: tuple[str, ...]
    first_words: str
    ready: str
    log: Path
    process: asyncio.subprocess.Process | None = field(default=None, init=False)
    _is_ready: bool = field(default=False, init=False)

    async def start(self) -> None:
        """Starts it; returns at once."""
        self._is_ready = False
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-s",
                *self.arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath},
            )
        assert self.process.stdin is not None
        self.process.stdin.write(self.first_words.encode())

    async def until_ready(self) -> None:
        """Returns once it does its work."""
        if self._is_ready:
            return
        assert self.process is not None and self.process.stdout is not None
        said = (await self.process.stdout.readline()).decode().strip()
        assert said == self.ready, f"it said {said!r}, and:\n{self.log.read_text()[-4000:]}"
        self._is_ready = True

    async def kill(self) -> None:
        """SIGKILL; returns once it is gone."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()


class Pair:
    """Both processes, and a client."""

    def __init__(
        self, folder: Path, port: int, client: Client, total: Resources, **worker: Any
    ) -> None:
        self.client = client
        self.controller = Program(
            ("-m", "tests.pair.controller_program", str(folder), str(port), _TOKEN),
            "",
            "serving",
            folder / "controller.log",
        )
        told = WorkerProcessOptions(
            WorkerOptions(
                worker_id=WorkerId("w"),
                controller_address=f"127.0.0.1:{port}",
                token=_TOKEN,
                slice_id=SliceId("slice"),
                scale_group="any",
                work_dir=folder / "worker",
                inherit_env={"PATH": "/usr/bin:/bin"},
                stop_grace=timedelta(seconds=1),
                **worker,
            ),
            WorkerHostOptions(f"127.0.0.1:{port}", _TOKEN, folder / "bundles-of-w", GIB),
            LocalEnvironmentProvider(total, {}),
            folder / "leases",
        )
        self.worker = Program(
            ("-m", "iris.platforms.local.worker_main"),
            told.to_json() + "\n",
            REGISTERED,
            folder / "worker.log",
        )


@asynccontextmanager
async def pair(folder: Path, total: Resources, **worker: Any) -> AsyncIterator[Pair]:
    """Both at work, the worker with so much to give, and further WorkerOptions; ended with the
    block.
    """
    ports = PortAllocator(folder / "leases-of-the-test")
    port = ports.lease("controller").hand_over()
    async with Client.connect(f"127.0.0.1:{port}", _TOKEN) as client:
        both = Pair(folder, port, client, total, **worker)
        try:
            for program in (both.controller, both.worker):
                await program.start()
                await program.until_ready()
            yield both
        finally:
            for program in (both.worker, both.controller):
                if program.process is not None:
                    with contextlib.suppress(ProcessLookupError):
                        await program.kill()
            ports.close()
