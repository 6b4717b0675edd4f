"""The command line of `iris cluster`, as values, and which cluster any command is for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ClusterFlags:
    """Which cluster; None where the flag was not given."""

    address: str | None = None
    token_file: str | None = None
    state_dir: str | None = None
    config: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """`iris cluster status`."""

    cluster: ClusterFlags


@dataclass(frozen=True, slots=True)
class ClusterStart:
    """`iris cluster start`."""

    cluster: ClusterFlags


@dataclass(frozen=True, slots=True)
class ClusterRestart:
    """`iris cluster restart`."""

    cluster: ClusterFlags


@dataclass(frozen=True, slots=True)
class ClusterReload:
    """`iris cluster reload`."""

    cluster: ClusterFlags


@dataclass(frozen=True, slots=True)
class ClusterLogs:
    """`iris cluster logs`; None: all lines."""

    cluster: ClusterFlags
    tail: int | None = None


@dataclass(frozen=True, slots=True)
class ClusterStop:
    """`iris cluster stop`."""

    cluster: ClusterFlags


@dataclass(frozen=True, slots=True)
class ClusterDrain:
    """`iris cluster drain`."""

    cluster: ClusterFlags
    worker: str


@dataclass(frozen=True, slots=True)
class ClusterUndrain:
    """`iris cluster undrain`."""

    cluster: ClusterFlags
    worker: str


@dataclass(frozen=True, slots=True)
class ClusterBackup:
    """`iris cluster backup`."""

    cluster: ClusterFlags


@dataclass(frozen=True, slots=True)
class ClusterRestore:
    """`iris cluster restore`."""

    cluster: ClusterFlags
    file: str


ClusterCommand = (
    ClusterStart
    | ClusterStop
    | ClusterRestart
    | ClusterReload
    | ClusterStatus
    | ClusterLogs
    | ClusterDrain
    | ClusterUndrain
    | ClusterBackup
    | ClusterRestore
)

CLUSTER_ROOM = "Start, look at and stop a cluster, drain its workers, or back it up."


def add_cluster_commands(leaf: Callable[[str, type[Any], str], Any]) -> None:
    """Adds them with `leaf`, which makes the parser of one command: name, dataclass, what it does."""
    for name, makes, text in (
        ("start", ClusterStart, "Start the cluster of a configuration (--config), wherever it is."),
        ("stop", ClusterStop, "Stop a cluster and everything that runs on it."),
        ("restart", ClusterRestart, "Stop a cluster and start it again; its jobs are kept."),
        (
            "reload",
            ClusterReload,
            "Have a cluster run the code that is here, and the configuration (--config) as it is now.",
        ),
        ("status", ClusterStatus, "Show machines, slices and what the autoscaler does."),
        ("backup", ClusterBackup, _BACKUP),
    ):
        leaf(name, makes, text)
    logs = leaf("logs", ClusterLogs, "Show what a controller wrote while it started, or failed to.")
    logs.add_argument("--tail", type=int, metavar="N", help="only the last N lines")
    for name, drain, text in (
        ("drain", ClusterDrain, "Have a worker take no new tasks; those that it has go on."),
        ("undrain", ClusterUndrain, "Have a drained worker take tasks again."),
    ):
        leaf(name, drain, text).add_argument(
            "worker", metavar="WORKER", help="as `iris cluster status` names it"
        )
    restore = leaf("restore", ClusterRestore, _RESTORE)
    restore.add_argument("file", metavar="FILE", help="what `iris cluster backup` printed")


_BACKUP = "Have a cluster copy its database while it runs; prints where the copy is."
_RESTORE = "Put a back-up in the place of a stopped local cluster's database."
