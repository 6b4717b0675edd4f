"""Gets hold of the cluster that the flow runs against: one it starts, or one that is there already."""

import contextlib
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from iris.config import default_local_config, load_config, make_local_config
from iris.host.processes import ProcessHandle
from iris.lifecycle.cluster_manager import ClusterManager, Connection
from iris.lifecycle.state_folder import ControllerRecord, StateFolder
from iris.model.errors import FailedPrecondition
from iris.smoke.context import Cluster
from iris.smoke.given_cluster import given_cluster
from iris.smoke.groups import with_smoke_groups
from iris.smoke.needs import KEPT_STATE, LOCAL_PROCESSES, STARTED_HERE
from iris.smoke.options import SmokeOptions
from iris.testing.leaks import LeakCheck

_KILL_SECONDS = 5.0


class ClusterUnderTest:
    """Start, look, stop. `start` and `stop` block for a bounded time: call them from a thread."""

    def __init__(self, options: SmokeOptions) -> None:
        self._options = options
        self._manager: ClusterManager | None = None
        self._state_dir: Path | None = None
        self._leaks: LeakCheck | None = None
        self._open = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def start(self, state_dir: Path) -> Cluster:
        """A cluster that answers. Raises an IrisError with what to do; nothing is left then."""
        if self._options.address is not None:
            return self._given()
        named = self._options.config
        config = default_local_config() if named is None else load_config(named)
        if self._options.local:
            config = make_local_config(config)
        # One that may be kept has to outlive this process.
        attached = not self._options.keep_on_failure
        if config.controller_vm.HasField("local"):
            self._leaks = LeakCheck(
                [state_dir], expected=lambda left: meant_to_stay(left, state_dir)
            )
            self._state_dir = state_dir
            config = with_smoke_groups(config)
            self._manager = ClusterManager(config, state_dir=state_dir, attached=attached)
        else:
            self._manager = ClusterManager(config, attached=attached)
        self._manager.start()
        return self.found()

    def found(self) -> Cluster:
        """The cluster as it can be reached now. Raises Unavailable."""
        if self._manager is None:
            return self._given()
        if self._state_dir is None:
            return self._elsewhere(self._manager)
        with self._manager.connect() as connection:
            return Cluster(
                connection.address,
                connection.token,
                frozenset({STARTED_HERE, LOCAL_PROCESSES, KEPT_STATE}),
                started_here=True,
                state_dir=self._state_dir,
                control=LocalControl(self._manager, self.found, self._lock),
            )

    def _elsewhere(self, manager: ClusterManager) -> Cluster:
        """On other machines: whatever leads there (a tunnel, perhaps) stays open until the stop."""
        if self._connection is None:
            self._connection = self._open.enter_context(manager.connect())
        found = self._connection
        return Cluster(found.address, found.token, frozenset(), started_here=False)

    def _given(self) -> Cluster:
        assert self._options.address is not None and self._options.token_file is not None
        return given_cluster(self._options.address, self._options.token_file)

    def stop(self) -> None:
        """Ends the cluster if this flow started it. Raises Internal naming what is left of it. Idempotent."""
        self._open.close()
        if self._manager is not None:
            # A case whose time was over may have left a start under way.
            with self._lock:
                self._manager.stop()

    def keep(self) -> str:
        """Leaves the cluster running: how to use it and how to end it. Empty if there is none."""
        if self._manager is None:
            return ""
        if self._state_dir is None:
            return self._manager.how_to_reach()
        cluster = self.found()
        folder = self._manager.state_folder
        return (
            f"it serves at {cluster.address}, its token is in {folder.token_file}, its log in "
            f"{folder.controller_log}; end it with: kill {pid_of(folder)}"
        )

    def leftovers(self) -> list[str]:
        """What the cluster left behind on this machine, each with its name; empty is how it has to be."""
        return [] if self._leaks is None else self._leaks.leftovers()

    def save_logs(self, report_dir: Path) -> list[str]:
        """Copies the cluster's own logs beside the reports; the paths, relative to the folder."""
        if self._state_dir is None or not self._state_dir.is_dir():
            return []
        saved = []
        for path in sorted(self._state_dir.glob("*.log")):
            target = report_dir / "cluster" / path.relative_to(self._state_dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            saved.append(str(target.relative_to(report_dir)))
        return saved


def pid_of(folder: StateFolder) -> int:
    """The running controller's. Raises FailedPrecondition if there is none."""
    return _record(folder).process.pid


def _record(folder: StateFolder) -> ControllerRecord:
    record = folder.running()
    if record is None:
        raise FailedPrecondition("The controller is not running.", hint="Start it first.")
    return record


class LocalControl:
    """See Control: of a cluster on this machine."""

    def __init__(
        self, manager: ClusterManager, found: Callable[[], Cluster], lock: threading.Lock
    ) -> None:
        self._manager = manager
        self._found = found
        self._lock = lock

    def kill(self) -> int:
        """See Control."""
        record = _record(self._manager.state_folder)
        with ProcessHandle.open(record.process) or contextlib.nullcontext() as handle:
            if handle is not None:
                handle.send(signal.SIGKILL)
                handle.wait(_KILL_SECONDS)
        return record.process.pid

    def start(self) -> Cluster:
        """See Control."""
        with self._lock:
            self._manager.start()
        return self._found()

    def reload(self) -> Cluster:
        """See Control."""
        with self._lock:
            self._manager.reload()
        return self._found()


# What a local cluster keeps for its next start, at the top of its state folder.
_KEPT = frozenset(
    [
        "token",
        "controller.lock",
        "reload.lock",
        "config.yaml",
        "startup.log",
        "controller.log",
        "controller.db",
        "controller.db.lock",
        "logs",
        "bundles",
        "cache",
        "leases",
        "tmp",
    ]
)
# Of these folders only they themselves may stay.
_EMPTIED = frozenset({("tmp",), ("cache", "vms")})


def meant_to_stay(left: str, state_dir: Path) -> bool:
    """Whether something that is left after the stop, as LeakCheck words it, is no leak."""
    kind, _, name = left.partition(" ")
    path = Path(name)
    if kind != "file" or not path.is_relative_to(state_dir):
        return False
    parts = path.relative_to(state_dir).parts
    return not parts or (
        parts[0] in _KEPT
        and not any(parts != kept and parts[: len(kept)] == kept for kept in _EMPTIED)
    )
