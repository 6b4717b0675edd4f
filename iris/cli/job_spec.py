"""What the flags of `iris job run` mean: a JobSpec."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from iris.cli.arguments import JobRun
from iris.cli.errors import UsageError
from iris.config.quantities import parse_cpu, parse_duration, parse_size
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.environment import EnvironmentSpec
from iris.model.errors import InvalidArgument
from iris.model.fleet import ATTRIBUTE_TPU_NAME
from iris.model.job import (
    DEFAULT_MAX_RETRIES_PREEMPTION,
    Entrypoint,
    ExistingJobPolicy,
    Gang,
    JobSpec,
)
from iris.model.priority import PriorityBand
from iris.model.resources import MIB, Resources
from iris.model.taints import Toleration
from iris.model.tpu import tpu_topology

T = TypeVar("T")

# Python holds its output back when it writes to a pipe; people who watch a job want to see it as it
# comes.
_DEFAULT_ENV = {"PYTHONUNBUFFERED": "1"}
_ATTRIBUTE = r"[^ !=,<>]+"
_COMPARISON = re.compile(rf"\s*({_ATTRIBUTE})\s*(!=|>=|<=|=|>|<)(.*)", re.DOTALL)
_MEMBERSHIP = re.compile(rf"\s*({_ATTRIBUTE})\s+in\s+(.*)", re.DOTALL)
_PRESENCE = re.compile(rf"\s*(!?)\s*({_ATTRIBUTE})\s*")
_OPERATORS = {
    "=": ConstraintOp.EQ,
    "!=": ConstraintOp.NE,
    ">": ConstraintOp.GT,
    ">=": ConstraintOp.GE,
    "<": ConstraintOp.LT,
    "<=": ConstraintOp.LE,
}


def job_spec_of(flags: JobRun) -> JobSpec:
    """The job, still without its bundle. Raises UsageError naming what is wrong."""
    try:
        return _job_spec(flags)
    except UsageError:
        raise
    except InvalidArgument as error:
        raise UsageError(error.problem, hint=error.hint) from None


def _job_spec(flags: JobRun) -> JobSpec:
    tpu = _TpuShape.of(flags.tpu)
    replicas = flags.replicas if flags.replicas is not None else tpu.vms
    gang_by = flags.gang_by or (ATTRIBUTE_TPU_NAME if tpu.vms > 1 and replicas > 1 else "")
    retries = flags.preemption_retries
    return JobSpec(
        entrypoint=Entrypoint(flags.argv),
        resources=Resources(
            _flag("--cpu", parse_cpu, flags.cpu, tpu.cpu_millis),
            _flag("--memory", parse_size, flags.memory, tpu.memory_bytes),
            _flag("--disk", parse_size, flags.disk, 0),
            tpu.accelerators,
        ),
        replicas=replicas,
        constraints=(
            *(parse_constraint(text) for text in flags.constraint),
            *(replace(parse_constraint(text), required=False) for text in flags.prefer),
        ),
        gang=Gang(gang_by) if gang_by else None,
        env=tuple(sorted({**_DEFAULT_ENV, **parse_env(flags.env)}.items())),
        port_names=flags.port,
        max_retries_failure=flags.retries,
        max_retries_preemption=DEFAULT_MAX_RETRIES_PREEMPTION if retries is None else retries,
        stop_grace=_flag("--stop-grace", parse_duration, flags.stop_grace, None),
        priority=PriorityBand(flags.priority) if flags.priority else PriorityBand.INTERACTIVE,
        tolerations=tuple(parse_toleration(text) for text in flags.toleration),
        max_task_failures=flags.max_task_failures,
        scheduling_timeout=_flag(
            "--scheduling-timeout", parse_duration, flags.scheduling_timeout, None
        ),
        timeout=_flag("--timeout", parse_duration, flags.timeout, None),
        outlives_parent=flags.outlives_parent,
        task_timeout=_flag("--task-timeout", parse_duration, flags.task_timeout, None),
        environment=_environment(flags),
    )


def _environment(flags: JobRun) -> EnvironmentSpec | None:
    if not (flags.python or flags.lock_file or flags.wheelhouse or flags.setup):
        return None
    if flags.lock_file and flags.no_bundle:
        raise UsageError(
            f"--lock-file {flags.lock_file} is a file of the bundle, and --no-bundle sends none.",
            hint="Leave out one of the two.",
        )
    return EnvironmentSpec(
        flags.python or "", flags.lock_file or "", flags.wheelhouse or "", flags.setup
    )


def existing_job_policy_of(flags: JobRun) -> ExistingJobPolicy:
    """What happens to a job of that name."""
    return ExistingJobPolicy[flags.existing.upper()]


@dataclass(frozen=True, slots=True)
class _TpuShape:
    """How many VMs a job runs on, and what a task asks for unless the flags say otherwise. Whoever
    has a VM's chips has the VM to itself, so nothing else needs to be asked for.
    """

    vms: int = 1
    accelerators: tuple[tuple[str, int], ...] = ()
    cpu_millis: int = 1000
    memory_bytes: int = 512 * MIB

    @classmethod
    def of(cls, variant: str | None) -> "_TpuShape":
        if variant is None:
            return cls()
        topology = tpu_topology(variant)
        return cls(topology.vms, ((f"tpu/{variant}", topology.chips_per_vm),), 0, 0)


def parse_env(pairs: tuple[str, ...]) -> dict[str, str]:
    """`("A=1", "B=x=y")` as a mapping. Raises UsageError."""
    env: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--env {pair!r} has no value.", hint="Write --env NAME=VALUE.")
        if name in env:
            raise UsageError(f"--env names {name} twice.", hint="Name each variable once.")
        env[name] = value
    return env


def parse_constraint(text: str) -> Constraint:
    """`a=b`, `a!=b`, `a>=1` (and so on), `a in b,c`, `a` (has any value) or `!a` (has none). Raises
    InvalidArgument.
    """
    if match := _MEMBERSHIP.fullmatch(text):
        values = tuple(value.strip() for value in match[2].split(","))
        rule = Constraint(match[1], ConstraintOp.IN, values)
    elif match := _COMPARISON.fullmatch(text):
        rule = Constraint(match[1], _OPERATORS[match[2]], (match[3].strip(),))
    elif match := _PRESENCE.fullmatch(text):
        op = ConstraintOp.NOT_EXISTS if match[1] else ConstraintOp.EXISTS
        rule = Constraint(match[2], op)
    else:
        raise _not_understood(text)
    if "" in rule.values:
        raise _not_understood(text)
    return rule


def _not_understood(text: str) -> UsageError:
    return UsageError(
        f"The rule {text!r} is not understood.",
        hint="Write zone=a, zone!=a, 'zone in a,b', zone, !zone or 'memory-gb>=64'.",
    )


def parse_toleration(text: str) -> Toleration:
    """`key` (whatever its value is) or `key=value`. Raises InvalidArgument."""
    key, separator, value = text.partition("=")
    return Toleration(key, value if separator else None)


def _flag(name: str, parse: Callable[[str], T], text: str | None, default: T) -> T:
    """The value of a flag, or its default; an error names the flag."""
    if text is None:
        return default
    try:
        return parse(text)
    except InvalidArgument as error:
        raise UsageError(f"{name}: {error.problem}", hint=error.hint) from None
