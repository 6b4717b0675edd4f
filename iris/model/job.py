"""What a user submits."""

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta

from iris.model.constraints import Constraint
from iris.model.errors import InvalidArgument
from iris.model.ids import JobId
from iris.model.resources import Resources

DEFAULT_MAX_RETRIES_PREEMPTION = 100
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PORT_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
RESERVED_ENV_PREFIX = "IRIS_"


def _can_travel(text: str) -> bool:
    """Whether a program can be given it, and a message can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """What a task runs: a program and its arguments, in the bundle's folder."""

    argv: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0]:
            raise InvalidArgument(
                "The entrypoint has no program.", hint="Give argv at least one element."
            )
        for argument in self.argv:
            if not _can_travel(argument):
                raise InvalidArgument(
                    f"The argument {argument!r} has a NUL byte, or is not UTF-8.",
                    hint="Put such bytes into a file of the bundle.",
                )


@dataclass(frozen=True, slots=True)
class Gang:
    """All tasks start together on workers that share one value of this attribute, or none does."""

    group_by: str

    def __post_init__(self) -> None:
        if not self.group_by:
            raise InvalidArgument(
                "The gang's group_by is empty.", hint="Name a worker attribute, e.g. tpu-name."
            )


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as it was asked for; never changes afterwards.

    Attributes:
        resources: Per task.
        max_retries_failure: How often a task may fail by itself (a bad exit) and be run again.
        max_retries_preemption: How often it may lose its worker and be run again.
        stop_grace: Between SIGTERM and SIGKILL; None is the cluster's setting.
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

    def __post_init__(self) -> None:
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
        self._check_names()

    def _check_names(self) -> None:
        for name, value in self.env:
            if not _ENV_NAME.fullmatch(name) or not _can_travel(value):
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
