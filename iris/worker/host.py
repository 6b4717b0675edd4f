"""What makes workers: everything that the workers of one process share, and the way to build one.

A worker without its bundle, image, container or environment provider cannot be made here.
"""

import os
import random
from dataclasses import dataclass
from pathlib import Path

from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.host.ports import PortAllocator
from iris.model.resources import GIB
from iris.worker.bundle_download import ControllerDownload
from iris.worker.bundles import CachedBundleProvider
from iris.worker.images import MachineImageProvider
from iris.worker.options import WorkerOptions
from iris.worker.protocols import EnvironmentProvider
from iris.worker.python_environment.provider import UvEnvironmentProvider
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.worker import Worker

# Some 2 MiB each, for a few seconds after they were of use.
_KEPT_SUPERVISORS = 64


@dataclass(frozen=True, slots=True)
class WorkerHostOptions:
    """Attributes:

    bundle_dir: The cache of unpacked bundles; this process's alone. The file `<bundle_dir>.lock`
        beside it is locked until nothing of this process and its tasks is left.
    environment_cache_bytes: Of Python environments that are kept.
    """

    controller_address: str
    token: str
    bundle_dir: Path
    bundle_cache_bytes: int
    environment_cache_bytes: int = 20 * GIB

    @property
    def environment_dir(self) -> Path:
        """The cache of Python environments, beside that of bundles."""
        return self.bundle_dir.with_name(f"{self.bundle_dir.name}-environments")


class WorkerHost:
    """One runtime, one cache of bundles, one of Python environments and one port allocator, for all
    workers of this process.

    One event loop. `start` before the first worker, `close` after the last has stopped.
    """

    def __init__(
        self,
        options: WorkerHostOptions,
        *,
        ports: PortAllocator,
        clock: Clock,
        ids: IdSource,
        rng: random.Random | None = None,
    ) -> None:
        self._ports = ports
        self._clock = clock
        self._ids = ids
        self._rng = rng or random.Random()
        self._images = MachineImageProvider()
        self._runtime = ProcessRuntime(
            options.bundle_dir.with_name(f"{options.bundle_dir.name}.lock"),
            keep=_KEPT_SUPERVISORS,
        )
        self._bundles = CachedBundleProvider(
            options.bundle_dir,
            ControllerDownload(options.controller_address, options.token),
            max_bytes=options.bundle_cache_bytes,
            clock=clock,
            rng=self._rng,
        )
        self._python_environments = UvEnvironmentProvider(
            options.environment_dir,
            self._runtime,
            max_bytes=options.environment_cache_bytes,
            clock=clock,
            variables=os.environ,
        )

    @property
    def isolation(self) -> str:
        """How tasks are contained here; known once it is started."""
        return self._runtime.isolation

    async def start(self) -> None:
        """Idempotent. Raises FailedPrecondition if the cache cannot be used, Unavailable if the
        machine cannot run anything.
        """
        await self._bundles.start()
        # Waits until nothing runs any more that a process before this one began: builds, too.
        await self._runtime.start()
        await self._python_environments.start()

    async def close(self) -> None:
        """Leaves no process. Idempotent."""
        await self._python_environments.close()
        await self._runtime.close()
        await self._bundles.close()

    def worker(self, options: WorkerOptions, environment: EnvironmentProvider) -> Worker:
        """A complete worker, not started."""
        return Worker(
            options,
            environment=environment,
            bundles=self._bundles,
            images=self._images,
            python_environments=self._python_environments,
            runtime=self._runtime,
            ports=self._ports,
            clock=self._clock,
            ids=self._ids,
            rng=self._rng,
        )
