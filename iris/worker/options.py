"""What a worker is told when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from iris.model.ids import SliceId, WorkerId
from iris.worker.health.options import DEFAULT_HEALTH, HealthOptions
from iris.worker.logs.redaction import DEFAULT_SECRET_ENV

__all__ = ["DEFAULT_SECRET_ENV", "WorkerOptions"]


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Attributes:

    controller_address: `host:port`.
    work_dir: This worker's alone; emptied when it starts and when it stops.
    inherit_env: Variables of every task, with their values.
    secret_env: Names or patterns of variables whose values no log line may show.
    stop_grace: Between SIGTERM and SIGKILL, for attempts whose spec has none.
    shutdown_grace: The most that an attempt gets of its grace when the worker itself stops.
    welcome_timeout: How long a controller may take to answer a new connection.
    max_processes: That one attempt may have at a time, threads included.
    max_open_files: Of one process of an attempt; never more than this process may have.
    health: What the machine needs for the worker to take work.
    """

    worker_id: WorkerId
    controller_address: str
    token: str
    slice_id: SliceId
    scale_group: str
    work_dir: Path
    inherit_env: Mapping[str, str]
    stop_grace: timedelta
    shutdown_grace: timedelta = timedelta(seconds=0.5)
    welcome_timeout: timedelta = timedelta(seconds=10)
    secret_env: tuple[str, ...] = DEFAULT_SECRET_ENV
    max_processes: int = 32768
    max_open_files: int = 65536
    health: HealthOptions = DEFAULT_HEALTH
