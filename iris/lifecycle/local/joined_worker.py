"""A worker in a process of its own that joins a cluster from outside of every slice, at whatever address it is given.

Nobody buys it and nobody gives it back: it takes work for as long as whoever started it lets it.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from iris.host.files import private_folder
from iris.model.errors import Unavailable
from iris.model.fleet import ATTRIBUTE_SCALE_GROUP, ATTRIBUTE_SLICE
from iris.model.ids import SliceId, WorkerId
from iris.model.resources import MIB, Resources
from iris.platforms.local.worker_process import REGISTERED, WorkerProcessOptions
from iris.worker.environment import LocalEnvironmentProvider
from iris.worker.health.options import DEFAULT_HEALTH
from iris.worker.host import WorkerHostOptions
from iris.worker.options import WorkerOptions

_MODULE = "iris.platforms.local.worker_main"
_CACHE_BYTES = 256 * MIB
_END_SECONDS = 10.0


class JoinedWorker:
    """From `start` to `stop`. Belongs to one event loop.

    Args:
        address: Of the controller, or of something on the way to it.
        folder: The worker's own.
        scale_group: Whose worker it says it is; its attributes are as if it were.
        looks_every: How often it looks whether it is well.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        name: str,
        folder: Path,
        scale_group: str,
        total: Resources,
        attributes: Mapping[str, str],
        looks_every: timedelta = DEFAULT_HEALTH.interval,
    ) -> None:
        self.worker_id = WorkerId(f"{name}/0")
        said = {ATTRIBUTE_SCALE_GROUP: scale_group, ATTRIBUTE_SLICE: name}
        worker = WorkerOptions(
            worker_id=self.worker_id,
            controller_address=address,
            token=token,
            slice_id=SliceId(name),
            scale_group=scale_group,
            work_dir=private_folder(folder / "work"),
            inherit_env={},
            stop_grace=timedelta(seconds=1),
            health=replace(DEFAULT_HEALTH, interval=looks_every),
        )
        self._options = WorkerProcessOptions(
            worker,
            WorkerHostOptions(address, token, folder / "bundles", _CACHE_BYTES, _CACHE_BYTES),
            LocalEnvironmentProvider(total, dict(attributes) | said),
            private_folder(folder / "leases"),
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns once it has registered. Raises Unavailable."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-s", "-m", _MODULE,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.defpath},
        )  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(self._options.to_json().encode() + b"\n")
            await self._process.stdin.drain()
        said = (await self._process.stdout.readline()).decode(errors="replace").strip()
        if said != REGISTERED:
            raise Unavailable(f"The worker {self.worker_id} did not come up: {said or 'it ended'}.")

    async def stop(self) -> None:
        """Ends it with all it runs; bounded. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
        except TimeoutError:
            # It may have ended in the very moment in which the time was up.
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
