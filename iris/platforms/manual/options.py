"""What the manual platform needs to know, of the configuration and of the process it is in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from iris.model.resources import GIB
from iris.ssh import SshOptions
from iris.worker.health.options import DEFAULT_HEALTH, HealthOptions
from iris.worker.options import DEFAULT_SECRET_ENV


@dataclass(frozen=True, slots=True)
class ControllerAccess:
    """How hosts' workers come to their controller.

    Attributes:
        address: `host:port` in this process's network; empty until the controller serves.
        token: The cluster's.
    """

    address: Callable[[], str]
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What every worker of the cluster is told; see iris.worker.options.WorkerOptions.

    Attributes:
        inherit_env: Names of variables of the worker's own environment, there, that tasks see.
        lease: A worker that has not reached its controller for so long ends itself and its tasks.
    """

    stop_grace: timedelta = timedelta(seconds=10)
    inherit_env: tuple[str, ...] = ("PATH", "LANG", "LC_ALL", "TZ")
    secret_env: tuple[str, ...] = DEFAULT_SECRET_ENV
    max_processes: int = 32768
    max_open_files: int = 65536
    health: HealthOptions = DEFAULT_HEALTH
    bundle_cache_bytes: int = 10 * GIB
    environment_cache_bytes: int = 20 * GIB
    lease: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class ManualOptions:
    """Of one scale group.

    Attributes:
        label: Of the cluster: what carries it on a host is ours.
        python, commands, environment, work_dir: See BootstrapConfig.
        command_timeout: For each of the commands.
        set_aside: A host that failed is left alone for so long.
        unreachable_after: A host that cannot be reached for so long is given up.
    """

    label: str
    hosts: tuple[str, ...]
    ssh: SshOptions
    work_dir: str
    python: str = "python3"
    commands: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    command_timeout: timedelta = timedelta(minutes=10)
    set_aside: timedelta = timedelta(minutes=5)
    unreachable_after: timedelta = timedelta(minutes=1)
    worker: WorkerSettings = WorkerSettings()
