"""What workers and the controller say to each other, as values. See proto/iris_proto/worker.proto."""

from dataclasses import dataclass

from iris.controller.state.events import Observation
from iris.model.health import HealthProblem
from iris.model.ids import AttemptUid, JobId, SliceId, WorkerId
from iris.model.resources import Resources


@dataclass(frozen=True, slots=True)
class Seen:
    """An attempt as its worker sees it, and how many log lines it has written."""

    observation: Observation
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker's first message on every stream."""

    worker_id: WorkerId
    incarnation_id: str
    slice_id: SliceId
    scale_group: str
    total: Resources
    attributes: tuple[tuple[str, str], ...]
    attempts: tuple[Seen, ...]
    problems: tuple[HealthProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """Why the worker is not well; nothing if it is."""

    problems: tuple[HealthProblem, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """What has changed; a heartbeat is the same, of everything that runs."""

    attempts: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """Log lines of an attempt, up to an index."""

    uid: AttemptUid
    next_index: int


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The worker leaves."""

    reason: str


Up = Hello | Health | Observed | Lines | Goodbye


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a worker needs to run an attempt. `program` says what it will do (see JobPlan)."""

    job_id: JobId
    index: int
    number: int
    resources: Resources
    program: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """The controller has taken the worker in."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What should run. A spec is None where the worker is expected to have it."""

    run: tuple[tuple[AttemptUid, RunSpec | None], ...] = ()
    stop: tuple[AttemptUid, ...] = ()
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Ends that the controller has for good."""

    uids: tuple[AttemptUid, ...]


@dataclass(frozen=True, slots=True)
class LinesTaken:
    """Log lines of an attempt below that index are stored."""

    uid: AttemptUid
    next_index: int


Down = Welcome | Desired | Acknowledge | LinesTaken
