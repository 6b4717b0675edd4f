"""The command line of `iris cluster`, as values, and which cluster any command is for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

# What has a controller run in the end.
BringUp = Literal["start", "restart", "reload"]


@dataclass(frozen=True, slots=True)
class ClusterFlags:
    """Which cluster; None where the flag was not given."""

    address: str | None = None
    token_file: str | None = None
    state_dir: str | None = None
    config: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterAction:
    """`iris cluster VERB`, of a verb that needs to know nothing but which cluster."""

    cluster: ClusterFlags
    verb: BringUp | Literal["status", "stop", "backup"]


@dataclass(frozen=True, slots=True)
class ClusterLogs:
    """`iris cluster logs`; None: all lines."""

    cluster: ClusterFlags
    tail: int | None = None


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
class ClusterRestore:
    """`iris cluster restore`."""

    cluster: ClusterFlags
    file: str


ClusterCommand = ClusterAction | ClusterLogs | ClusterDrain | ClusterUndrain | ClusterRestore

CLUSTER_ROOM = "Start, look at and stop a cluster, drain its workers, or back it up."


def add_cluster_commands(leaf: Callable[[str, type[Any], str], Any]) -> None:
    """Adds them with `leaf`, which makes the parser of one command: name, dataclass, what it does."""
    for name, text in (
        ("start", "Start the cluster of a configuration (--config), wherever it is."),
        ("stop", "Stop a cluster and everything that runs on it."),
        ("restart", "Stop a cluster and start it again; its jobs are kept."),
        (
            "reload",
            "Have a cluster run the code that is here, and the configuration (--config) as it is now.",
        ),
        ("status", "Show machines, slices and what the autoscaler does."),
        ("backup", _BACKUP),
    ):
        leaf(name, ClusterAction, text)
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
