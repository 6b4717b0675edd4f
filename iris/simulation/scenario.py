"""What a simulation is given: a fleet, jobs and faults, as one value that can be written down.

Times are virtual seconds from the beginning of the run. Everything random that a scenario leaves
open (how long a message takes, say) is drawn from streams named after the seed and whatever draws,
so the same scenario always runs the same way.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path

import msgspec

from iris.autoscaler.settings import AutoscalerSettings
from iris.controller.state.retry import RetryPolicy
from iris.model.errors import InvalidArgument
from iris.model.fleet import ScaleGroup
from iris.model.ids import JobId
from iris.model.job import ExistingJobPolicy, JobSpec
from iris.scheduler.policy import SchedulingPolicy


class Outcome(Enum):
    """How an attempt ends if nobody stops it."""

    SUCCEED = "succeed"
    FAIL = "fail"
    """The program ends with a bad exit code."""
    REFUSE = "refuse"
    """It fails before the program runs: a bundle that cannot be fetched."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the attempts of a job do.

    Attributes:
        duration: Seconds that an attempt runs, up to `spread` times as long or as short.
        build: Seconds before its program runs.
        outcomes: Of a task's first attempts, in order. Those that come later end as drawn.
        failure_rate: The chance that an attempt beyond `outcomes` fails.
        stop: Seconds that it takes to end once it is told to stop.
    """

    duration: float
    spread: float = 0.0
    build: float = 1.0
    outcomes: tuple[Outcome, ...] = ()
    failure_rate: float = 0.0
    stop: float = 1.0


@dataclass(frozen=True, slots=True)
class JobPlan:
    """A job that somebody will submit.

    Attributes:
        cancel_at: When its user terminates it; None: never.
        policy: What happens to a job of the same name.
    """

    job_id: JobId
    submit_at: float
    spec: JobSpec
    behaviour: Behaviour
    cancel_at: float | None = None
    policy: ExistingJobPolicy = ExistingJobPolicy.ERROR


class FaultKind(Enum):
    """What goes wrong. `amount`, `target` and `lasts` of a Fault mean what is said here."""

    LOSE = "lose"
    """Messages are lost, each with the chance `amount`. Downwards nothing more comes through on a
    stream that has lost one, until it breaks: so it is with TCP."""
    DELAY = "delay"
    """Each message takes up to `amount` seconds longer."""
    DOUBLE = "double"
    """Messages arrive twice, each with the chance `amount`; of a worker's, the second at any time."""
    REORDER = "reorder"
    """What workers say is overtaken by what they say later, each message with the chance `amount`."""
    PARTITION = "partition"
    """No message reaches a share `amount` of the workers, or leaves it."""
    BREAK_STREAMS = "break streams"
    """The streams of a share `amount` of the workers break at once."""
    RESTART_WORKERS = "restart workers"
    """A share `amount` of the workers dies and starts anew, under its old id, `lasts` seconds later."""
    KILL_VMS = "kill vms"
    """A share `amount` of the VMs dies for good, and with each its slice, in the end."""
    PREEMPT_SLICES = "preempt slices"
    """The cloud takes a share `amount` of the slices back at once."""
    REFUSE_SLICES = "refuse slices"
    """The cloud has no more slices to give: quota."""
    FAIL_BOOTS = "fail boots"
    """Slices that are bought never come up, each with the chance `amount`."""
    SLOW_CLOUD = "slow cloud"
    """Calls to the cloud take up to `amount` seconds longer, beyond their deadlines if it is that
    much."""
    SHORT_LIVED_SLICES = "short lived slices"
    """The cloud takes slices that are bought back soon after they came up, each with the chance
    `amount`."""
    SCARCE_SLICES = "scarce slices"
    """The cloud has no more slices than a share 1 - `amount` of what a group may have: capacity comes
    and goes."""
    UNHEALTHY_WORKERS = "unhealthy workers"
    """A share `amount` of the workers says that it is not well, and `lasts` seconds later that it is."""
    DRAIN_WORKERS = "drain workers"
    """A user drains a share `amount` of the workers, and lets them work again `lasts` seconds later."""
    CRASH_CONTROLLER = "crash controller"
    """The controller dies in the first turn from then on, at the point `target` (see CrashPoint),
    and starts again `lasts` seconds later."""
    JUMP_CLOCK = "jump clock"
    """The wall clock is set forward by `amount` seconds, or back if it is negative."""


class CrashPoint(Enum):
    """Where in a turn the controller dies."""

    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit"
    """Everything is stored and nobody was told."""
    AFTER_TURN = "after turn"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        name: Unique in a scenario; its random numbers are drawn under it.
        target: The scale group it is about; empty: all of them.
    """

    name: str
    kind: FaultKind
    at: float
    lasts: float = 0.0
    amount: float = 0.0
    target: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """How the cluster is configured.

    Attributes:
        turn: A turn of the controller's loop takes so many seconds.
        boot: Seconds from when a slice is bought until its workers dial, at least and at most.
        calm_bound: Virtual seconds after the last submission or fault in which all has to be over.
    """

    heartbeat: float = 10.0
    lost_after: float = 30.0
    log_flush: float = 2.0
    turn: float = 0.5
    boot: tuple[float, float] = (5.0, 25.0)
    retention: timedelta = timedelta(minutes=5)
    calm_bound: float = 3600.0


DEFAULT_AUTOSCALING = AutoscalerSettings(
    idle_timeout=timedelta(seconds=60),
    interval=timedelta(seconds=10),
    boot_timeout=timedelta(seconds=90),
    call_timeout=timedelta(seconds=30),
    backoff_min=timedelta(seconds=5),
    backoff_max=timedelta(seconds=60),
    health_window=timedelta(minutes=5),
    short_lived=timedelta(seconds=60),
)


def at_rest(group: ScaleGroup) -> int:
    """How many slices a group has while there is nothing to do."""
    return max(group.min_slices, min(group.buffer_slices, group.max_slices))


@dataclass(frozen=True, slots=True)
class Scenario:
    """One simulation, completely."""

    seed: int
    groups: tuple[ScaleGroup, ...]
    jobs: tuple[JobPlan, ...]
    faults: tuple[Fault, ...] = ()
    policy: SchedulingPolicy = field(default_factory=SchedulingPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    autoscaling: AutoscalerSettings = DEFAULT_AUTOSCALING
    timing: Timing = field(default_factory=Timing)

    @property
    def calm_at(self) -> float:
        """From then on nothing is submitted or cancelled any more, and nothing goes wrong."""
        moments = [job.submit_at for job in self.jobs]
        moments += [job.cancel_at for job in self.jobs if job.cancel_at is not None]
        moments += [fault.at + fault.lasts for fault in self.faults]
        return max(moments, default=0.0)

    def to_json(self) -> bytes:
        """For a file, readable."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)


def scenario_from_json(text: bytes) -> Scenario:
    """Raises InvalidArgument for what is no scenario."""
    try:
        return msgspec.json.decode(text, type=Scenario)
    except msgspec.MsgspecError as error:
        raise InvalidArgument(
            f"This is no scenario: {error}.", hint="Files of a failed simulation have the form."
        ) from error


def read_scenario(path: Path) -> Scenario:
    """Raises InvalidArgument for what is no scenario, OSError for a file that cannot be read."""
    return scenario_from_json(path.read_bytes())
