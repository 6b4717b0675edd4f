"""What a VM in a process of its own is told when it starts, as one line of JSON on its standard input.

The token travels there and nowhere else: arguments and environments can be read by others.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from iris.model.ids import SliceId, WorkerId
from iris.model.resources import Resources, accelerators_of
from iris.worker.environment import LocalEnvironmentProvider
from iris.worker.health.options import HealthOptions
from iris.worker.host import WorkerHostOptions
from iris.worker.worker import WorkerOptions

# What the process says, a line each, on its standard output: the first once its worker has registered.
REGISTERED = "registered"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WorkerProcessOptions:
    """Everything such a process needs."""

    worker: WorkerOptions
    host: WorkerHostOptions
    environment: LocalEnvironmentProvider
    lease_dir: Path

    def to_json(self) -> str:
        """One line."""
        worker, total = self.worker, self.environment.total
        return json.dumps(
            {
                "worker_id": worker.worker_id,
                "controller_address": worker.controller_address,
                "token": worker.token,
                "slice_id": worker.slice_id,
                "scale_group": worker.scale_group,
                "work_dir": str(worker.work_dir),
                "inherit_env": dict(worker.inherit_env),
                "stop_grace": worker.stop_grace.total_seconds(),
                "secret_env": worker.secret_env,
                "max_processes": worker.max_processes,
                "max_open_files": worker.max_open_files,
                "health": {
                    "min_disk_bytes": worker.health.min_disk_bytes,
                    "min_memory_bytes": worker.health.min_memory_bytes,
                    "max_clock_skew": worker.health.max_clock_skew.total_seconds(),
                    "interval": worker.health.interval.total_seconds(),
                },
                "bundle_dir": str(self.host.bundle_dir),
                "bundle_cache_bytes": self.host.bundle_cache_bytes,
                "environment_cache_bytes": self.host.environment_cache_bytes,
                "cpu_millis": total.cpu_millis,
                "memory_bytes": total.memory_bytes,
                "disk_bytes": total.disk_bytes,
                "accelerators": dict(total.accelerators),
                "ports": total.ports,
                "attributes": dict(self.environment.attributes),
                "host": self.environment.host,
                "lease_dir": str(self.lease_dir),
            }
        )

    @classmethod
    def from_json(cls, line: str) -> "WorkerProcessOptions":
        """The same again. Raises ValueError or KeyError for anything else."""
        told: dict[str, Any] = json.loads(line)
        total = Resources(
            told["cpu_millis"],
            told["memory_bytes"],
            told["disk_bytes"],
            accelerators_of(told["accelerators"]),
            told["ports"],
        )
        worker = WorkerOptions(
            worker_id=WorkerId(told["worker_id"]),
            controller_address=told["controller_address"],
            token=told["token"],
            slice_id=SliceId(told["slice_id"]),
            scale_group=told["scale_group"],
            work_dir=Path(told["work_dir"]),
            inherit_env=told["inherit_env"],
            stop_grace=timedelta(seconds=told["stop_grace"]),
            secret_env=tuple(told["secret_env"]),
            max_processes=told["max_processes"],
            max_open_files=told["max_open_files"],
            health=_health_options(told["health"]),
        )
        host = WorkerHostOptions(
            worker.controller_address,
            worker.token,
            Path(told["bundle_dir"]),
            told["bundle_cache_bytes"],
            told["environment_cache_bytes"],
        )
        environment = LocalEnvironmentProvider(total, told["attributes"], told["host"])
        return cls(worker, host, environment, Path(told["lease_dir"]))


def _health_options(told: dict[str, Any]) -> HealthOptions:
    return HealthOptions(
        told["min_disk_bytes"],
        told["min_memory_bytes"],
        timedelta(seconds=told["max_clock_skew"]),
        timedelta(seconds=told["interval"]),
    )
