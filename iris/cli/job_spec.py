"""What the flags of `iris job run` mean: a JobSpec."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from iris.cli.arguments import JobRun
from iris.cli.errors import UsageError
from iris.config.quantities import parse_cpu, parse_duration, parse_size
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.errors import InvalidArgument
from iris.model.fleet import ATTRIBUTE_TPU_NAME
from iris.model.job import DEFAULT_MAX_RETRIES_PREEMPTION, Entrypoint, Gang, JobSpec
from iris.model.resources import MIB, Resources
from iris.model.tpu import tpu_topology

T = TypeVar("T")

# Python holds its output back when it writes to a pipe; people who watch a job want to see it as it
# comes.
_DEFAULT_ENV = {"PYTHONUNBUFFERED": "1"}


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
        constraints=tuple(parse_constraint(text) for text in flags.constraint),
        gang=Gang(gang_by) if gang_by else None,
        env=tuple(sorted({**_DEFAULT_ENV, **parse_env(flags.env)}.items())),
        port_names=flags.port,
        max_retries_failure=flags.retries,
        max_retries_preemption=DEFAULT_MAX_RETRIES_PREEMPTION if retries is None else retries,
        stop_grace=_flag("--stop-grace", parse_duration, flags.stop_grace, None),
    )


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
    """`a=b`, `a!=b`, `a in b,c`, `a` (has any value) or `!a` (has none). Raises InvalidArgument."""
    attribute, separator, values = text.partition(" in ")
    if separator:
        return _constraint(
            text, attribute, ConstraintOp.IN, *(value.strip() for value in values.split(","))
        )
    attribute, separator, value = text.partition("=")
    if separator and attribute.endswith("!"):
        return _constraint(text, attribute[:-1], ConstraintOp.NE, value)
    if separator:
        return _constraint(text, attribute, ConstraintOp.EQ, value)
    if text.startswith("!"):
        return _constraint(text, text[1:], ConstraintOp.NOT_EXISTS)
    return _constraint(text, text, ConstraintOp.EXISTS)


def _constraint(text: str, attribute: str, op: ConstraintOp, *values: str) -> Constraint:
    name = attribute.strip()
    if not name or any(character in " !=,<>" for character in name) or "" in values:
        raise UsageError(
            f"--constraint {text!r} is not understood.",
            hint="Write zone=a, zone!=a, 'zone in a,b', zone or !zone.",
        )
    return Constraint(name, op, values)


def _flag(name: str, parse: Callable[[str], T], text: str | None, default: T) -> T:
    """The value of a flag, or its default; an error names the flag."""
    if text is None:
        return default
    try:
        return parse(text)
    except InvalidArgument as error:
        raise UsageError(f"{name}: {error.problem}", hint=error.hint) from None
