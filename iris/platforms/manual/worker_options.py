"""What a host's worker is told when it starts, as one line of JSON on its standard input.

The token travels there and nowhere else: arguments and environments can be read by others.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from iris.model.fleet import ScaleGroup, slice_attributes
from iris.model.ids import WorkerId
from iris.model.tpu import tpu_topology
from iris.platforms.local.worker_process import WorkerProcessOptions
from iris.platforms.manual.claims import Claim
from iris.platforms.manual.options import WorkerSettings
from iris.worker.environment import LocalEnvironmentProvider
from iris.worker.host import WorkerHostOptions
from iris.worker.options import WorkerOptions


@dataclass(frozen=True, slots=True)
class HostWorkerOptions:
    """Everything such a process needs.

    Attributes:
        process: As of any worker that is a process. Its inherit_env is empty: only the process
            itself knows what there is to inherit.
        inherit: Names of variables that tasks see.
        lease: See WorkerSettings.
        state_file: Where it says how it does, for who watches.
    """

    process: WorkerProcessOptions
    inherit: tuple[str, ...]
    lease: timedelta
    state_file: Path

    def to_json(self) -> str:
        """One line."""
        return json.dumps(
            {
                "process": self.process.to_json(),
                "inherit": list(self.inherit),
                "lease": self.lease.total_seconds(),
                "state_file": str(self.state_file),
            }
        )

    @classmethod
    def from_json(cls, line: str) -> "HostWorkerOptions":
        """The same again. Raises ValueError or KeyError for anything else."""
        told = json.loads(line)
        return cls(
            WorkerProcessOptions.from_json(told["process"]),
            tuple(told["inherit"]),
            timedelta(seconds=told["lease"]),
            Path(told["state_file"]),
        )


def host_worker_options(
    group: ScaleGroup,
    claim: Claim,
    settings: WorkerSettings,
    *,
    token: str,
    address: str,
    variables: tuple[str, ...],
) -> HostWorkerOptions:
    """Of the VM that the claim is for.

    Args:
        address: Where peers reach its tasks.
        variables: Names of those that the configuration gives the worker; tasks see them, too.
    """
    controller = f"unix:{claim.socket}"
    work, vm = Path(claim.work_dir), Path(claim.vm_dir)
    topology = tpu_topology(group.accelerator_variant).topology if group.is_tpu else ""
    worker = WorkerOptions(
        worker_id=WorkerId(claim.vm_id),
        controller_address=controller,
        token=token,
        slice_id=claim.slice_id,
        scale_group=group.name,
        work_dir=vm / "work",
        inherit_env={},
        stop_grace=settings.stop_grace,
        secret_env=settings.secret_env,
        max_processes=settings.max_processes,
        max_open_files=settings.max_open_files,
        health=settings.health,
    )
    host = WorkerHostOptions(
        controller,
        token,
        work / "bundles",
        settings.bundle_cache_bytes,
        settings.environment_cache_bytes,
    )
    environment = LocalEnvironmentProvider(
        group.vm, slice_attributes(group, claim.slice_id, claim.index, topology), address
    )
    return HostWorkerOptions(
        WorkerProcessOptions(worker, host, environment, work / "leases"),
        (*settings.inherit_env, *variables),
        settings.lease,
        vm / "state",
    )
