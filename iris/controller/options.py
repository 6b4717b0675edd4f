"""What a controller has to be told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path

from iris_proto import cluster_pb2

from iris.controller.state.retry import RetryPolicy
from iris.model.errors import NotFound
from iris.model.faults import Fault
from iris.scheduler.policy import SchedulingPolicy


class UnschedulablePolicy(Enum):
    """What happens to a job that no scale group could ever run."""

    REFUSE = "LaunchJob fails and names the limiting resource"
    ACCEPT = "it waits, explained, until a configuration that fits is loaded"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is over is kept, and how much of it.

    Attributes:
        jobs: Jobs that have ended, with their tasks, attempts and logs.
        events: The record of every single event.
        log_bytes_per_attempt: Of one attempt's log, however young.
        log_bytes: Of all logs together; beyond it those of attempts that have ended go.
    """

    jobs: timedelta = timedelta(days=7)
    events: timedelta = timedelta(days=7)
    log_bytes_per_attempt: int = 1 << 30
    log_bytes: int = 20 << 30


def _no_machine() -> None:
    return None


async def _no_vm_log(vm_id: str, tail: int) -> str:
    raise NotFound(f"There is no VM {vm_id!r}: this cluster's workers were started by hand.")


@dataclass(frozen=True, slots=True)
class ControllerOptions:
    """What decides about a single job has no default here: a cluster's configuration does.

    Attributes:
        port: 0 takes a free one.
        state_dir: Database and logs; exists, and is this controller's alone.
        bundle_dir: Uploaded bundles.
        max_bundle_bytes: Of one archive.
        lost_after: A worker that is silent for this long is given up.
        stop_grace: Between SIGTERM and SIGKILL, for jobs that do not say.
        log_flush_timeout: How long an attempt's end waits for its last log lines.
        machine: The budget of the machine that all workers share, where they do.
        vm_log: The last so many lines (0: all) of what happened on a VM. Raises NotFound.
        inject_fault: Breaks something on purpose; what was done, for people. None: that is not allowed.
    """

    cluster: str
    version: str
    host: str
    port: int
    state_dir: Path
    bundle_dir: Path
    token: str = field(repr=False)
    unschedulable: UnschedulablePolicy
    max_bundle_bytes: int
    max_replicas: int
    lost_after: timedelta
    heartbeat_interval: timedelta
    stop_grace: timedelta
    log_flush_timeout: timedelta
    machine: Callable[[], cluster_pb2.MachineBudget | None] = _no_machine
    vm_log: Callable[[str, int], Awaitable[str]] = _no_vm_log
    inject_fault: Callable[[Fault], Awaitable[str]] | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    scheduling: SchedulingPolicy = field(default_factory=SchedulingPolicy)
    retention: Retention = field(default_factory=Retention)
