"""A job under way, as a live picture of a few lines and as a sentence for where nothing can be
redrawn.
"""

from datetime import datetime

from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from iris.cli.wording import STATE_STYLES, brief, how_long
from iris.client.views import JobView, TaskView
from iris.model.pending import PendingReason
from iris.model.states import TaskState

# Jobs with more tasks are shown by counts only.
_MOST_TASKS_SHOWN = 8


def live_progress(job: JobView, now: datetime, spinner: Spinner) -> RenderableType:
    """The job's state, and below it each task's if they are few."""
    began = job.started_at or job.submitted_at
    lasted = how_long(now - began) if began else ""
    head = Table.grid(padding=(0, 1))
    head.add_row(
        spinner,
        Text.assemble((job.job_id, "bold"), "  ", counts_text(job), (f"  {lasted}", "dim")),
    )
    if not 1 < len(job.tasks) <= _MOST_TASKS_SHOWN:
        return Group(
            head,
            *(Text(f"  {brief(reason)}", style="dim") for reason in pending_reasons(job)[:1]),
        )
    rows = Table.grid(padding=(0, 2))
    for task in job.tasks:
        rows.add_row(
            f"  {task.index}", state_text(task.state), Text(task_detail(task), style="dim")
        )
    return Group(head, rows)


def counts_text(job: JobView) -> Text:
    """`3 running, 1 pending`; for a single task just its state."""
    if job.spec.replicas == 1 and len(job.counts) == 1:
        return state_text(job.counts[0][0])
    parts = [
        Text.assemble(f"{tasks:,} ", state_text(state))
        for state, tasks in sorted(job.counts, key=lambda count: _ORDER[count[0]])
    ]
    return Text(", ").join(parts)


def state_text(state: TaskState) -> Text:
    """A state in its colour."""
    return Text(state.value, style=STATE_STYLES[state])


def task_detail(task: TaskView) -> str:
    """What there is to say of a task beside its state: why it waits, or where it runs."""
    if task.pending is not None and task.state is TaskState.PENDING:
        return brief(task.pending)
    attempt = task.last_attempt
    if attempt is None:
        return ""
    again = f", attempt {attempt.number + 1}" if attempt.number else ""
    return f"on {attempt.worker_id}{again}"


def pending_reasons(job: JobView) -> list[PendingReason]:
    """Why its tasks wait, each reason once, the one of most tasks first."""
    tasks: dict[PendingReason, int] = {}
    for task in job.tasks:
        if task.state is TaskState.PENDING and task.pending is not None:
            tasks[task.pending] = tasks.get(task.pending, 0) + 1
    return sorted(tasks, key=lambda reason: -tasks[reason])


def progress_sentence(job: JobView) -> str:
    """The same in one line, without times: said again only when it has changed."""
    text = f"{job.job_id}: {counts_text(job).plain}"
    reasons = pending_reasons(job)
    if reasons:
        return f"{text}: {brief(reasons[0])}"
    if job.spec.replicas == 1 and job.tasks and job.tasks[0].last_attempt is not None:
        return f"{text} {task_detail(job.tasks[0])}"
    return text


_ORDER = {state: place for place, state in enumerate(TaskState)}
