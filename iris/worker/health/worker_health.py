"""The health of one worker: its checks, put together."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from iris.host.clock import Clock
from iris.model.health import HealthProblem
from iris.worker.health.checks import DiskCheck, FolderCheck, MemoryCheck, RuntimeCheck
from iris.worker.health.clock import ClockCheck
from iris.worker.health.monitor import HealthMonitor, Tell
from iris.worker.health.options import HealthOptions
from iris.worker.protocols import ContainerRuntime


class WorkerHealth:
    """From `start` to `stop`. Belongs to one event loop.

    Args:
        folder: The worker's own; its attempts are below it.
        tell: See HealthMonitor.
        on_bug: Called if looking has come to an unexpected end.
    """

    def __init__(
        self,
        options: HealthOptions,
        folder: Path,
        runtime: ContainerRuntime,
        *,
        clock: Clock,
        tell: Tell,
        on_bug: Callable[[BaseException], None],
    ) -> None:
        self._clock_check = ClockCheck(clock, options.max_clock_skew)
        self._monitor = HealthMonitor(
            (
                DiskCheck(folder, options.min_disk_bytes),
                MemoryCheck(options.min_memory_bytes),
                FolderCheck(folder),
                RuntimeCheck(runtime),
                self._clock_check,
            ),
            clock=clock,
            interval=options.interval.total_seconds(),
            tell=tell,
        )
        self._on_bug = on_bug
        self._running: asyncio.Task[None] | None = None

    @property
    def problems(self) -> tuple[HealthProblem, ...]:
        """See HealthMonitor."""
        return self._monitor.problems

    async def start(self) -> None:
        """Looks for the first time, and from then on again and again."""
        await self._monitor.look()
        self._running = asyncio.create_task(self._monitor.run(), name="worker health")
        self._running.add_done_callback(self._on_done)

    def controller_says(self, now: datetime | None) -> None:
        """The controller's time, as it has just arrived; None where it does not tell."""
        if now is not None:
            self._clock_check.controller_says(now)

    async def stop(self) -> None:
        """Leaves no task. Idempotent."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            self._running = None
        await self._monitor.close()

    def _on_done(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_bug(error)
