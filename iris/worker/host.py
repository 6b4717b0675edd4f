"""What makes workers: everything that the workers of one process share, and the way to build one.

A worker without its bundle, image, container or environment provider cannot be made here.
"""

import random
from dataclasses import dataclass
from pathlib import Path

from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.host.ports import PortAllocator
from iris.worker.bundle_download import ControllerDownload
from iris.worker.bundles import CachedBundleProvider
from iris.worker.images import MachineImageProvider
from iris.worker.options import WorkerOptions
from iris.worker.protocols import EnvironmentProvider
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.worker import Worker


@dataclass(frozen=True, slots=True)
class WorkerHostOptions:
    """Attributes:

    bundle_dir: The cache of unpacked bundles; this process's alone.
    """

    controller_address: str
    token: str
    bundle_dir: Path
    bundle_cache_bytes: int


class WorkerHost:
    """One runtime, one bundle cache and one port allocator for all workers of this process.

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
        self._runtime = ProcessRuntime()
        self._bundles = CachedBundleProvider(
            options.bundle_dir,
            ControllerDownload(options.controller_address, options.token),
            max_bytes=options.bundle_cache_bytes,
            clock=clock,
            rng=self._rng,
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
        await self._runtime.start()

    async def close(self) -> None:
        """Leaves no process. Idempotent."""
        await self._runtime.close()
        await self._bundles.close()

    def worker(self, options: WorkerOptions, environment: EnvironmentProvider) -> Worker:
        """A complete worker, not started."""
        return Worker(
            options,
            environment=environment,
            bundles=self._bundles,
            images=self._images,
            runtime=self._runtime,
            ports=self._ports,
            clock=self._clock,
            ids=self._ids,
            rng=self._rng,
        )
