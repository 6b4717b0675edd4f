"""Gets hold of the cluster that the flow runs against: one it starts, or one that is there already."""

import shutil
from pathlib import Path

from iris.client import Client
from iris.config import load_config, make_local_config
from iris.lifecycle.cluster_manager import ClusterManager
from iris.model.errors import FailedPrecondition
from iris.smoke.cases.jobs import GANG_OF_FOUR, GANG_VARIANT, LOCAL_PROCESSES
from iris.smoke.cases.leftovers import STARTED_HERE
from iris.smoke.context import Cluster
from iris.smoke.options import SmokeOptions
from iris.testing.leaks import LeakCheck


class ClusterUnderTest:
    """Start, look, stop. `start` and `stop` block for a bounded time: call them from a thread."""

    def __init__(self, options: SmokeOptions) -> None:
        self._options = options
        self._manager: ClusterManager | None = None
        self._state_dir: Path | None = None
        self._leaks: LeakCheck | None = None

    def start(self, state_dir: Path) -> Cluster:
        """A cluster that answers. Raises an IrisError with what to do; nothing is left then."""
        if self._options.address is not None:
            assert self._options.token_file is not None
            token = self._options.token_file.read_text().strip()
            return Cluster(self._options.address, token, frozenset(), started_here=False)
        assert self._options.config is not None
        config = load_config(self._options.config)
        if self._options.local:
            config = make_local_config(config)
        if not config.controller_vm.HasField("local"):
            raise FailedPrecondition(
                "The configuration's cluster is not local.", hint="Add --local, or use --address."
            )
        self._leaks = LeakCheck([state_dir], expected=lambda left: meant_to_stay(left, state_dir))
        self._state_dir = state_dir
        self._manager = ClusterManager(config, state_dir=state_dir)
        self._manager.start()
        with self._manager.connect() as connection:
            return Cluster(
                connection.address,
                connection.token,
                frozenset({STARTED_HERE, LOCAL_PROCESSES}),
                started_here=True,
            )

    def stop(self) -> None:
        """Ends the cluster if this flow started it. Raises Internal naming what is left of it. Idempotent."""
        if self._manager is not None:
            self._manager.stop()

    def leftovers(self) -> list[str]:
        """What the cluster left behind on this machine, each with its name; empty is how it has to be."""
        return [] if self._leaks is None else self._leaks.leftovers()

    def save_logs(self, report_dir: Path) -> list[str]:
        """Copies the cluster's own logs beside the reports; the paths, relative to the folder."""
        if self._state_dir is None or not self._state_dir.is_dir():
            return []
        saved = []
        for path in sorted(self._state_dir.rglob("*.log")):
            target = report_dir / "cluster" / path.relative_to(self._state_dir)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            saved.append(str(target.relative_to(report_dir)))
        return saved


# What a local cluster keeps for its next start, at the top of its state folder.
_KEPT = frozenset(
    [
        "token",
        "controller.lock",
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


async def what_it_offers(cluster: Cluster, client: Client) -> frozenset[str]:
    """What cases may count on: known of the cluster, and found by asking it."""
    groups = (await client.cluster_status()).groups
    gang = any(group.accelerator_variant == GANG_VARIANT and group.max_slices for group in groups)
    return cluster.offers | ({GANG_OF_FOUR} if gang else set())
