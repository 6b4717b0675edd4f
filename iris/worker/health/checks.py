"""What is looked at, each by a check of its own: disk, memory, a folder that can be written to, and
the runtime. The clock's is in `iris.worker.health.clock`.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from iris.host.budget import available_memory, free_disk
from iris.model.errors import IrisError
from iris.model.resources import format_bytes
from iris.worker.blocking import run_in_thread
from iris.worker.protocols import ContainerRuntime

_PROBE_NAME, _PROBE_BYTES = ".health", 4096


class Check(Protocol):
    """One thing to look at."""

    @property
    def name(self) -> str:
        """A word, e.g. `disk`."""

    async def look(self) -> str:
        """What is wrong, with the numbers and what to do about it; empty if nothing is. What it
        raises is taken for a problem, too.
        """


@dataclass(frozen=True, slots=True)
class DiskCheck:
    """There is room where the worker keeps its attempts."""

    folder: Path
    min_bytes: int
    measure: Callable[[Path], int] = free_disk
    name: str = "disk"

    async def look(self) -> str:
        """See Check."""
        free = await asyncio.to_thread(self.measure, self.folder)
        if free >= self.min_bytes:
            return ""
        return (
            f"{format_bytes(free)} free in {self.folder}, needs {format_bytes(self.min_bytes)}; "
            f"make room there, or lower worker.health.min_disk"
        )


@dataclass(frozen=True, slots=True)
class MemoryCheck:
    """There is memory left, of the machine and within the control groups that bound the worker."""

    min_bytes: int
    measure: Callable[[], int] = available_memory
    name: str = "memory"

    async def look(self) -> str:
        """See Check."""
        available = await asyncio.to_thread(self.measure)
        if available >= self.min_bytes:
            return ""
        return (
            f"{format_bytes(available)} available, needs {format_bytes(self.min_bytes)}; "
            f"end what takes it, or lower worker.health.min_memory"
        )


@dataclass(frozen=True, slots=True)
class FolderCheck:
    """Files can be written into the folder and read again, as tasks do with their temporary files:
    a file system that is full, read-only or broken shows only then.
    """

    folder: Path
    name: str = "temp"

    async def look(self) -> str:
        """See Check."""
        return await run_in_thread(self._try)

    def _try(self) -> str:
        path = self.folder / _PROBE_NAME
        written = secrets.token_bytes(_PROBE_BYTES)
        try:
            try:
                path.write_bytes(written)
                found = path.read_bytes()
            finally:
                path.unlink(missing_ok=True)
        except OSError as error:
            return (
                f"no file can be written in {self.folder}: {error.strerror or error}; "
                f"look at its file system and who may write there"
            )
        if found != written:
            return f"a file in {self.folder} did not read as it was written; the disk may be broken"
        return ""


@dataclass(frozen=True, slots=True)
class RuntimeCheck:
    """The runtime could run a task now."""

    runtime: ContainerRuntime
    name: str = "runtime"

    async def look(self) -> str:
        """See Check."""
        try:
            await self.runtime.probe()
        except IrisError as error:
            return f"no task can be started: {error}"
        return ""
