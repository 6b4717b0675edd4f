"""What an attempt is given, and what can be said of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from iris.model.environment import EnvironmentSpec
from iris.model.ids import AttemptUid, JobId, TaskId
from iris.model.job import Entrypoint
from iris.model.resources import Resources
from iris.model.states import TaskState
from iris.worker.protocols import TreeUsage


@dataclass(frozen=True, slots=True)
class AttemptSpec:
    """All that one attempt needs to run.

    Attributes:
        number: Of the attempt within its task; 0 is the first.
        bundle_digest: Empty for none.
        stop_grace: None is the worker's.
        peer_hosts: Of the gang's members in order of task index; empty without a gang.
        task_timeout: How long it may run; None: as long as it wants.
        task_token: What the task presents to the controller; empty for none.
    """

    task_id: TaskId
    job_id: JobId
    task_index: int
    num_tasks: int
    number: int
    entrypoint: Entrypoint
    resources: Resources
    env: Mapping[str, str] = field(default_factory=dict)
    bundle_digest: str = ""
    port_names: tuple[str, ...] = ()
    stop_grace: timedelta | None = None
    peer_hosts: tuple[str, ...] = ()
    environment: EnvironmentSpec | None = None
    task_timeout: timedelta | None = None
    task_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Observation:
    """An attempt as it is now. Later ones replace earlier ones.

    Attributes:
        error: Why it ended as it did and what to do; empty for SUCCEEDED and while it runs.
        log_lines: So far; with a terminal state, in all.
        logs_incomplete: Some lines will never be delivered.
    """

    uid: AttemptUid
    state: TaskState
    exit_code: int | None = None
    signal: int | None = None
    error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    usage: TreeUsage | None = None
    log_lines: int = 0
    logs_incomplete: bool = False
    ports: Mapping[str, int] = field(default_factory=dict)
