"""Workloads from a file: what a cluster was once asked to run, or might be.

A trace is a CSV file with a header. Columns, of which the first three are needed:

| column | unit | default |
|---|---|---|
| `submit_s` | seconds from the beginning | |
| `job` | an id, `/user/name` | |
| `duration_s` | seconds that each attempt runs | |
| `replicas` | tasks | 1 |
| `band` | `production`, `interactive` or `batch` | `interactive` |
| `cpu_millis` | thousandths of a core, per task | 1000 |
| `memory_mib`, `disk_mib` | MiB, per task | 0 |
| `accelerator` | kind, such as `tpu/v5litepod-16` | none |
| `accelerators` | of that kind, per task | 0 |
| `group_by` | makes it a gang over that worker attribute | no gang |
| `require` | constraints that have to hold, separated by blanks: `zone=a`, `generation>=2`, `!network` | none |
| `tolerate` | taints, separated by blanks: `spot` or `key=value` | none |
| `failures` | so many of a task's first attempts fail | 0 |
| `max_retries_failure`, `max_retries_preemption` | retries | 0, 100 |
| `timeout_s`, `scheduling_timeout_s` | seconds | none |
| `cancel_s` | seconds from the beginning | never |

An empty cell is the default. examples/traces has one to begin with.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from iris.model.constraints import Constraint, ConstraintOp
from iris.model.errors import InvalidArgument
from iris.model.ids import parse_job_id
from iris.model.job import DEFAULT_MAX_RETRIES_PREEMPTION, Entrypoint, Gang, JobSpec
from iris.model.priority import PriorityBand
from iris.model.resources import MIB, Resources
from iris.model.taints import Toleration
from iris.simulation.scenario import Behaviour, JobPlan, Outcome

NEEDED = ("submit_s", "job", "duration_s")
OPTIONAL = (
    "replicas",
    "band",
    "cpu_millis",
    "memory_mib",
    "disk_mib",
    "accelerator",
    "accelerators",
    "group_by",
    "require",
    "tolerate",
    "failures",
    "max_retries_failure",
    "max_retries_preemption",
    "timeout_s",
    "scheduling_timeout_s",
    "cancel_s",
)
_RULE = re.compile(r"(!?)([A-Za-z0-9._/-]+?)(?:(>=|<=|!=|=|>|<)(.+))?")
_OPERATORS = {op.value: op for op in ConstraintOp}


def read_trace(path: Path) -> tuple[JobPlan, ...]:
    """Raises InvalidArgument that names the line, OSError for a file that cannot be read."""
    with path.open(newline="", encoding="utf-8") as file:
        return parse_trace(file, str(path))


def parse_trace(lines: Iterable[str], name: str) -> tuple[JobPlan, ...]:
    """The jobs of a trace, in its order. `name` is for messages."""
    reader = csv.DictReader(lines)
    columns = reader.fieldnames or ()
    for column in NEEDED:
        if column not in columns:
            raise InvalidArgument(
                f"{name} has no column {column!r}.", hint=f"Needed are {', '.join(NEEDED)}."
            )
    for column in columns:
        if column not in NEEDED + OPTIONAL:
            raise InvalidArgument(
                f"{name} has a column {column!r}.",
                hint=f"Known are {', '.join(NEEDED + OPTIONAL)}.",
            )
    plans: list[JobPlan] = []
    for row in reader:
        try:
            plans.append(_plan(_Row(row), len(plans)))
        except (InvalidArgument, ValueError) as error:
            raise InvalidArgument(f"{name}, line {reader.line_num}: {error}") from error
    return tuple(plans)


@dataclass(frozen=True, slots=True)
class _Row:
    cells: Mapping[str, str | None]

    def text(self, column: str, default: str = "") -> str:
        return (self.cells.get(column) or "").strip() or default

    def whole(self, column: str, default: int) -> int:
        return int(self.text(column, str(default)))

    def seconds(self, column: str) -> float | None:
        text = self.text(column)
        return float(text) if text else None

    def duration(self, column: str) -> timedelta | None:
        seconds = self.seconds(column)
        return None if seconds is None else timedelta(seconds=seconds)


def _plan(row: _Row, number: int) -> JobPlan:
    submit_at, duration = row.seconds("submit_s"), row.seconds("duration_s")
    if submit_at is None or duration is None:
        raise InvalidArgument("submit_s and duration_s are needed.")
    kind, group_by = row.text("accelerator"), row.text("group_by")
    spec = JobSpec(
        Entrypoint((f"line-{number}",)),
        Resources(
            row.whole("cpu_millis", 1_000),
            row.whole("memory_mib", 0) * MIB,
            row.whole("disk_mib", 0) * MIB,
            ((kind, row.whole("accelerators", 1)),) if kind else (),
        ),
        replicas=row.whole("replicas", 1),
        constraints=tuple(map(_constraint, row.text("require").split())),
        gang=Gang(group_by) if group_by else None,
        tolerations=tuple(map(_toleration, row.text("tolerate").split())),
        max_retries_failure=row.whole("max_retries_failure", 0),
        max_retries_preemption=row.whole("max_retries_preemption", DEFAULT_MAX_RETRIES_PREEMPTION),
        priority=PriorityBand(row.text("band", PriorityBand.INTERACTIVE.value)),
        timeout=row.duration("timeout_s"),
        scheduling_timeout=row.duration("scheduling_timeout_s"),
    )
    behaviour = Behaviour(duration, outcomes=(Outcome.FAIL,) * row.whole("failures", 0))
    return JobPlan(
        parse_job_id(row.text("job")), submit_at, spec, behaviour, row.seconds("cancel_s")
    )


def _constraint(text: str) -> Constraint:
    match = _RULE.fullmatch(text)
    if match is None or (match[1] and match[3]):
        raise InvalidArgument(f"{text!r} is no constraint.", hint="Write zone=a, or !network.")
    negated, attribute, operator, value = match.groups()
    if operator is None:
        return Constraint(attribute, ConstraintOp.NOT_EXISTS if negated else ConstraintOp.EXISTS)
    if operator == "=" and "," in value:
        return Constraint(attribute, ConstraintOp.IN, tuple(value.split(",")))
    return Constraint(attribute, _OPERATORS[operator], (value,))


def _toleration(text: str) -> Toleration:
    key, _, value = text.partition("=")
    return Toleration(key, value or None)
