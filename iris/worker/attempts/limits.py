"""What bounds an attempt's process tree, from what its job asks for and what its worker allows."""

from dataclasses import dataclass
from pathlib import Path

from iris.worker.attempts.model import AttemptSpec
from iris.worker.protocols import Limits


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Of every attempt of a worker; see WorkerOptions."""

    max_processes: int = 32768
    max_open_files: int = 65536


def limits_of(spec: AttemptSpec, folder: Path, worker: WorkerLimits) -> Limits:
    """An attempt may use what it asked for. `folder` is where all it writes by default lies."""
    resources = spec.resources
    return Limits(
        memory_bytes=resources.memory_bytes,
        cpu_millis=resources.cpu_millis,
        processes=worker.max_processes,
        open_files=worker.max_open_files,
        disk_bytes=resources.disk_bytes,
        disk_path=folder,
        wall=spec.task_timeout,
    )
