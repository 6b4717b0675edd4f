"""Clusters that run on this machine, found by the state folders they leave in the usual place."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from iris.lifecycle.local.controller import local_status
from iris.lifecycle.protocol import Connection, ControllerStatus
from iris.lifecycle.state_folder import StateFolder, state_root

_HEALTH_TIMEOUT = timedelta(seconds=5)
# More folders than this are not clusters.
_MAX_FOLDERS = 1000


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """A cluster whose controller's process runs here; whether it is well, `status` says."""

    name: str
    folder: StateFolder
    status: ControllerStatus

    def connection(self) -> Connection:
        """How to reach it. Raises FailedPrecondition where its token cannot be read."""
        return Connection(self.status.address, self.folder.read_token())


def find_local_clusters(
    root: Path | None = None, *, timeout: timedelta = _HEALTH_TIMEOUT
) -> tuple[LocalCluster, ...]:
    """The clusters below `root` (default: where they are unless configured otherwise), by name.
    Asks each for its health.
    """
    root = state_root(os.environ) if root is None else root
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir())[:_MAX_FOLDERS]
    except OSError:
        return ()
    found = (find_local_cluster(path, timeout=timeout) for path in folders)
    return tuple(cluster for cluster in found if cluster is not None)


def find_local_cluster(
    state_dir: Path, *, timeout: timedelta = _HEALTH_TIMEOUT
) -> LocalCluster | None:
    """The cluster with that state folder; None if it does not run."""
    folder = StateFolder(state_dir)
    record = folder.running()
    if record is None:
        return None
    return LocalCluster(record.cluster, folder, local_status(record, record.cluster, timeout))
