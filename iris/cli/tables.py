"""Jobs, tasks and clusters as tables."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from iris.cli.explain import why_lines
from iris.cli.progress import counts_text, state_text, task_detail
from iris.cli.wording import (
    STATE_STYLES,
    describe_end,
    entrypoint_text,
    further_cause,
    how_long,
    job_duration,
    plural,
    printable,
)
from iris.client import (
    ClusterView,
    ExplanationView,
    JobView,
    ScaleGroupView,
    TaskView,
    WorkerView,
)
from iris.config.quantities import format_duration
from iris.lifecycle.protocol import ControllerStatus
from iris.model.constraints import preferred, required
from iris.model.fleet import VmPhase, VmState
from iris.model.health import problems_text
from iris.model.job import JobSpec
from iris.model.resources import Resources

_DECISIONS_SHOWN = 8
_VMS_SHOWN = 30
_PHASES_SHOWN = 5


def job_table(jobs: Sequence[JobView], now: datetime) -> Table:
    """One line for each job."""
    table = _table("JOB", "BAND", "STATE", "TASKS", "SUBMITTED", "RAN", "COMMAND")
    for job in jobs:
        ran = job_duration(job, now)
        table.add_row(
            Text(job.job_id, style="bold"),
            job.spec.priority.value,
            Text(job.state.value, style=STATE_STYLES[job.state]),
            counts_text(job) if job.spec.replicas > 1 else Text("1"),
            f"{how_long(now - job.submitted_at)} ago" if job.submitted_at else "",
            how_long(ran) if ran is not None else "",
            Text(
                entrypoint_text(job.spec.entrypoint),
                style="dim",
                no_wrap=True,
                overflow="ellipsis",
            ),
        )
    return table


def job_details(job: JobView, why: ExplanationView, now: datetime) -> list[RenderableType]:
    """A job, why it stands where it does, then its tasks."""
    spec = job.spec
    ran = job_duration(job, now)
    facts = [
        ("job", Text(job.job_id, style="bold")),
        ("state", Text(job.state.value, style=STATE_STYLES[job.state])),
        ("command", Text(entrypoint_text(spec.entrypoint))),
        ("each task", Text(str(spec.resources))),
        ("gang by", Text(spec.gang.group_by if spec.gang else "")),
        *_placing_facts(spec),
        ("bundle", Text(spec.bundle_digest)),
        ("submitted", Text(_moment(job.submitted_at))),
        ("started", Text(_moment(job.started_at))),
        ("ended", Text(_moment(job.finished_at))),
        ("ran", Text(how_long(ran) if ran is not None else "")),
        ("retries", Text(f"{job.retries:,}" if job.retries else "")),
        ("error", Text(printable(job.error), style="red")),
    ]
    tasks = _table("TASK", "STATE", "WORKER", "ATTEMPT", "RAN", "DETAIL")
    for task in job.tasks:
        tasks.add_row(*_task_row(task, now))
    parts: list[RenderableType] = [_facts(facts), Text("")]
    # Its error stands among the facts already.
    reasons = why_lines(replace(why, error=""), now)
    if reasons:
        parts += [*reasons, Text("")]
    parts.append(tasks)
    left = spec.replicas - len(job.tasks)
    if left > 0:
        parts.append(
            Text(f"and {plural(left, 'more task')}: {counts_text(job).plain} in all", style="dim")
        )
    return parts


def _placing_facts(spec: JobSpec) -> list[tuple[str, Text]]:
    """Where it may run, and when it is given up."""
    limits = [
        f"{name} {format_duration(limit)}"
        for name, limit in (
            ("scheduling timeout", spec.scheduling_timeout),
            ("timeout", spec.timeout),
            ("timeout of a task", spec.task_timeout),
        )
        if limit is not None
    ]
    if spec.max_task_failures:
        limits.append(f"{plural(spec.max_task_failures, 'task')} may fail")
    return [
        ("band", Text(spec.priority.value)),
        ("constraints", Text("; ".join(map(str, required(spec.constraints))))),
        ("prefers", Text("; ".join(map(str, preferred(spec.constraints))))),
        ("tolerates", Text("; ".join(map(str, spec.tolerations)))),
        ("limits", Text("; ".join(limits))),
    ]


def _task_row(task: TaskView, now: datetime) -> list[RenderableType]:
    attempt = task.last_attempt
    if attempt is None:
        return [
            str(task.index),
            state_text(task.state),
            "",
            "",
            "",
            Text(task_detail(task), style="dim"),
        ]
    ran = ""
    if attempt.started_at is not None:
        ran = how_long((attempt.finished_at or now) - attempt.started_at)
    detail = ""
    if attempt.state.is_terminal:
        cause = further_cause(attempt)
        detail = describe_end(attempt) + (f": {cause}" if cause else "")
    if task.pending is not None and not task.state.is_active and not task.state.is_terminal:
        detail = f"{task.pending.summary()} (attempt {attempt.number + 1} {describe_end(attempt)})"
    if attempt.outputs:
        names = "outputs " + ", ".join(output.name for output in attempt.outputs)
        detail = f"{detail}; {names}" if detail else names
    return [
        str(task.index),
        state_text(task.state),
        attempt.worker_id,
        str(attempt.number + 1),
        ran,
        Text(detail, style="dim"),
    ]


def controller_facts(name: str, status: ControllerStatus) -> RenderableType:
    """What is known of a controller that is not well."""
    running = "yes" if status.running else "no"
    return _facts(
        [
            ("cluster", Text(name, style="bold")),
            ("running", Text(running)),
            ("machine", Text(status.vm_name)),
            ("address", Text(status.address)),
            ("problem", Text(printable(status.problem), style="red")),
        ]
    )


def cluster_details(cluster: ClusterView, address: str, now: datetime) -> list[RenderableType]:
    """A cluster: what it is, what it has, and what its autoscaler did lately."""
    up = how_long(now - cluster.started_at) if cluster.started_at else ""
    facts = [
        ("cluster", Text(cluster.cluster, style="bold")),
        ("address", Text(address)),
        ("version", Text(cluster.version)),
        ("up for", Text(up)),
        ("machine", Text(machine_text(cluster))),
        ("work", Text(_work_text(cluster))),
        ("faults", Text("may be injected" if cluster.fault_injection else "")),
    ]
    parts: list[RenderableType] = [_facts(facts), Text(""), group_table(cluster.groups)]
    parts += vm_lines(cluster, now)
    if cluster.workers:
        workers = _table("WORKER", "GROUP", "STATE", "TASKS", "FREE", "SEEN")
        for worker in cluster.workers:
            workers.add_row(
                worker.worker_id,
                worker.scale_group,
                _worker_state(worker),
                str(worker.attempts),
                str(worker.free),
                f"{how_long(now - worker.last_seen)} ago" if worker.last_seen else "",
            )
        parts += [Text(""), workers]
    if cluster.decisions:
        parts += [Text(""), Text("what the autoscaler did lately", style="dim")]
        for decision in cluster.decisions[-_DECISIONS_SHOWN:]:
            ago = f"{how_long(now - decision.at)} ago"
            what = " ".join(filter(None, (decision.action, decision.scale_group)))
            text = f"{what} ({decision.reason}): {decision.summary}"
            parts.append(Text.assemble((f"  {ago:>14}  ", "dim"), text))
    return parts


def _worker_state(worker: WorkerView) -> Text:
    """`unhealthy: disk: 120 MiB free, needs 1 GiB`."""
    why = f": {problems_text(worker.problems)}" if worker.problems else ""
    style = "green" if worker.state == "connected" else "yellow"
    return Text(printable(f"{worker.state}{why}"), style=style)


def group_table(groups: Sequence[ScaleGroupView]) -> Table:
    """The kinds of slices there are, and how many exist."""
    table = _table("GROUP", "PLATFORM", "EACH SLICE", "EACH VM", "SLICES", "MIN", "MAX", "")
    for group in groups:
        variant = f" ({group.accelerator_variant})" if group.accelerator_variant else ""
        table.add_row(
            Text(group.name, style="bold"),
            group.platform,
            f"{plural(group.vms_per_slice, 'VM')}{variant}",
            str(group.vm),
            str(len(group.slices)),
            str(group.min_slices),
            str(group.max_slices),
            Text(group.problem, style="yellow"),
        )
    return table


def vm_lines(cluster: ClusterView, now: datetime) -> list[RenderableType]:
    """The VMs: where each stands and for how long, what was before, and what is wrong or being done. Those that are
    not ready come first; nothing where there are none.
    """
    slices = [one for group in cluster.groups for one in group.slices]
    vms = [(one, vm) for one in slices for vm in one.vms]
    if not vms:
        return []
    vms.sort(key=lambda pair: pair[1].state is VmState.READY)
    table = _table("VM", "GROUP", "STATE", "FOR", "BEFORE", "")
    for one, vm in vms[:_VMS_SHOWN]:
        since = vm.phases[-1].began_at if vm.phases else one.created_at
        style = "green" if vm.state is VmState.READY else "yellow"
        table.add_row(
            vm.vm_id,
            one.scale_group,
            Text(vm.state.value, style=style),
            how_long(now - since),
            Text(_phases_text(vm.phases), style="dim"),
            Text(printable(vm.problem or vm.step)),
        )
    parts: list[RenderableType] = [Text(""), table]
    left = len(vms) - _VMS_SHOWN
    if left > 0:
        parts.append(Text(f"and {plural(left, 'more VM')}", style="dim"))
    return parts


def _phases_text(phases: Sequence[VmPhase]) -> str:
    """`requesting 0.1 s, booting 2.0 s`: those that are over."""
    return ", ".join(
        f"{phase.state.value} {how_long(after.began_at - phase.began_at)}"
        for phase, after in pairwise(phases[-_PHASES_SHOWN:])
    )


def machine_text(cluster: ClusterView) -> str:
    """What the machine lends, and what is taken; empty where the platform is not this machine."""
    if cluster.machine is None:
        return ""
    reserved = cluster.machine.reserved
    taken = "nothing taken" if reserved == Resources() else f"{reserved} taken"
    more = ", oversubscribed" if cluster.machine.oversubscribed else ""
    return f"{cluster.machine.total} ({taken}{more})"


def _work_text(cluster: ClusterView) -> str:
    jobs = f"{plural(cluster.jobs_active, 'active job')}"
    return f"{jobs}, {plural(cluster.tasks_running, 'task')} running, {cluster.tasks_pending:,} pending"


def _moment(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _facts(facts: Sequence[tuple[str, Text]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        if value.plain:
            grid.add_row(Text(name, style="dim"), value)
    return grid
