"""What a user submits."""

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum

from iris.model.callables import CallableEntrypoint
from iris.model.constraints import Constraint
from iris.model.environment import EnvironmentSpec
from iris.model.errors import InvalidArgument
from iris.model.ids import JobId
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.model.taints import Toleration
from iris.model.texts import can_travel

DEFAULT_MAX_RETRIES_PREEMPTION = 100
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PORT_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
RESERVED_ENV_PREFIX = "IRIS_"


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """What a task runs, in the bundle's folder: either a program and its arguments, or a Python
    function.
    """

    argv: tuple[str, ...] = ()
    callable: CallableEntrypoint | None = None

    def __post_init__(self) -> None:
        if self.callable is not None:
            if self.argv:
                raise InvalidArgument(
                    f"The entrypoint is both the program {self.argv[0]!r} and the function "
                    f"{self.callable.name}.",
                    hint="Give argv or callable, not both.",
                )
            return
        if not self.argv or not self.argv[0]:
            raise InvalidArgument(
                "The entrypoint has no program.", hint="Give argv at least one element."
            )
        for argument in self.argv:
            if not can_travel(argument):
                raise InvalidArgument(
                    f"The argument {argument!r} has a NUL byte, or is not UTF-8.",
                    hint="Put such bytes into a file of the bundle.",
                )

    @property
    def program(self) -> str:
        """Names it for people: the program, or `callable train.main`."""
        return self.argv[0] if self.callable is None else f"callable {self.callable.name}"


@dataclass(frozen=True, slots=True)
class Gang:
    """All tasks start together on workers that share one value of this attribute, or none does."""

    group_by: str

    def __post_init__(self) -> None:
        if not self.group_by:
            raise InvalidArgument(
                "The gang's group_by is empty.", hint="Name a worker attribute, e.g. tpu-name."
            )


class ExistingJobPolicy(Enum):
    """What happens when a job of that name exists. The same request twice is one job in any case.

    Attributes:
        ERROR: The same specification is that job; another one is refused.
        KEEP: One that has not ended is kept, whatever it is; one that has ended is replaced.
        REPLACE: It is ended if it has not, and replaced.
    """

    ERROR = "error"
    KEEP = "keep"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as it was asked for; never changes afterwards.

    Attributes:
        resources: Per task. `ports` follows from `port_names`.
        max_retries_failure: How often a task may fail by itself (a bad exit) and be run again.
        max_retries_preemption: How often it may lose its worker and be run again.
        stop_grace: Between SIGTERM and SIGKILL; None is the cluster's setting.
        tolerations: Taints that it puts up with.
        max_task_failures: So many tasks may fail for good before the job does. A gang ends as one:
            for it this is 0.
        scheduling_timeout: A task that has not been placed once so long after the job was
            submitted is UNSCHEDULABLE, and the job ends. None: it waits for ever.
        timeout: How long the job may take, from when its first task was placed; what has not ended
            by then is stopped, and the job has failed. None: as long as it wants.
        outlives_parent: A child job that goes on when its parent has ended; otherwise it is
            terminated then.
        environment: What is built or run on the worker before the program; None: nothing.
        task_timeout: How long one attempt of a task may run; then it is ended, and has failed. None:
            as long as it wants.
    """

    entrypoint: Entrypoint
    resources: Resources
    replicas: int = 1
    constraints: tuple[Constraint, ...] = ()
    gang: Gang | None = None
    env: tuple[tuple[str, str], ...] = field(default=())
    bundle_digest: str = ""
    port_names: tuple[str, ...] = ()
    max_retries_failure: int = 0
    max_retries_preemption: int = DEFAULT_MAX_RETRIES_PREEMPTION
    stop_grace: timedelta | None = None
    priority: PriorityBand = PriorityBand.INTERACTIVE
    tolerations: tuple[Toleration, ...] = ()
    max_task_failures: int = 0
    scheduling_timeout: timedelta | None = None
    timeout: timedelta | None = None
    outlives_parent: bool = False
    environment: EnvironmentSpec | None = None
    task_timeout: timedelta | None = None

    def __post_init__(self) -> None:
        self._count_ports()
        if self.replicas < 1:
            raise InvalidArgument(
                f"replicas is {self.replicas}.", hint="A job has at least 1 task."
            )
        for name, amount in self.resources.amounts():
            if amount < 0:
                raise InvalidArgument(
                    f"The job asks for {amount} of {name}.", hint="Amounts are 0 or more."
                )
        for name, value in (
            ("failure", self.max_retries_failure),
            ("preemption", self.max_retries_preemption),
        ):
            if value < 0:
                raise InvalidArgument(f"max_retries_{name} is {value}.", hint="0 means no retry.")
        if self.stop_grace is not None and self.stop_grace < timedelta(0):
            raise InvalidArgument(f"stop_grace is {self.stop_grace}.", hint="It is 0 or more.")
        for name, limit in (
            ("scheduling_timeout", self.scheduling_timeout),
            ("timeout", self.timeout),
            ("task_timeout", self.task_timeout),
        ):
            if limit is not None and limit <= timedelta(0):
                raise InvalidArgument(f"{name} is {limit}.", hint="It is more than 0, or unset.")
        self._check_failures()
        self._check_names()

    def _count_ports(self) -> None:
        ports = len(self.port_names)
        if self.resources.ports not in (0, ports):
            raise InvalidArgument(
                f"The job asks for {self.resources.ports} ports and names {ports}.",
                hint="Name each port in port_names; their number follows from it.",
            )
        if self.resources.ports != ports:
            object.__setattr__(self, "resources", replace(self.resources, ports=ports))

    def _check_failures(self) -> None:
        if self.max_task_failures < 0:
            raise InvalidArgument(
                f"max_task_failures is {self.max_task_failures}.", hint="0 means none may fail."
            )
        if self.gang is not None and self.max_task_failures:
            raise InvalidArgument(
                f"max_task_failures of a gang is {self.max_task_failures}.",
                hint="A gang starts and ends as one: leave it at 0.",
            )

    def _check_names(self) -> None:
        for name, value in self.env:
            if not _ENV_NAME.fullmatch(name) or not can_travel(value):
                raise InvalidArgument(
                    f"{name!r}={value!r} is no environment variable.",
                    hint="Names are [A-Za-z0-9_].",
                )
            if name.startswith(RESERVED_ENV_PREFIX):
                raise InvalidArgument(
                    f"The variable {name} is Iris's own.", hint="Choose a name without IRIS_."
                )
        for name in self.port_names:
            if not _PORT_NAME.fullmatch(name):
                raise InvalidArgument(
                    f"{name!r} is no port name.", hint="Use lower-case letters, digits and '_'."
                )
        for what, names in (
            ("env", [n for n, _ in self.env]),
            ("port_names", list(self.port_names)),
        ):
            if len(set(names)) != len(names):
                raise InvalidArgument(
                    f"{what} names something twice: {sorted(names)}.", hint="Name each once."
                )
        if self.bundle_digest and not _DIGEST.fullmatch(self.bundle_digest):
            raise InvalidArgument(
                f"{self.bundle_digest!r} is no bundle digest.",
                hint="It is sha256: and 64 hex digits.",
            )

    def with_bundle(self, digest: str) -> "JobSpec":
        """The same job with another bundle."""
        return replace(self, bundle_digest=digest)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job and the name it is submitted under."""

    job_id: JobId
    spec: JobSpec
