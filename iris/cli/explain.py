"""A job explained: why it waits, where it runs, or which task failed, how, and with what last
words.
"""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from iris.cli.outcome import failures
from iris.cli.progress import counts_text, task_detail
from iris.cli.wording import (
    STATE_STYLES,
    describe_end,
    further_cause,
    how_long,
    job_duration,
    plural,
)
from iris.client.views import ExplanationView, JobView, LogLine, TaskView, WaitingTasks
from iris.model.states import JobState, TaskState

_MOST_SHOWN = 8


def explain_job(
    job: JobView,
    now: datetime,
    *,
    name: str,
    why: ExplanationView | None = None,
    last_lines: Sequence[LogLine] = (),
    command: str = "iris",
) -> list[Text]:
    """The explanation, a line each.

    Args:
        name: What `iris job logs` takes for this job.
        why: What the controller says of where it stands; not needed of a job that has run.
        last_lines: The end of the log of the task that failed first.
        command: How `iris` is called here.
    """
    lines = [_head(job, now)]
    match job.state:
        case JobState.PENDING | JobState.RUNNING | JobState.UNSCHEDULABLE:
            lines += why_lines(why, now) if why is not None else []
            lines += _running(job, now)
        case JobState.FAILED:
            lines += _failed(job, last_lines)
        case JobState.KILLED if job.error:
            lines.append(Text(f"  {job.error}"))
    if job.started_at is not None:
        what, how = (
            ("all of its output", "") if job.state.is_terminal else ("its output", "--follow ")
        )
        lines.append(Text.assemble((f"  {what}: ", "dim"), f"{command} job logs {how}{name}"))
    return lines


def _head(job: JobView, now: datetime) -> Text:
    state = Text(_HEADS[job.state], style=STATE_STYLES[job.state])
    duration = job_duration(job, now)
    if job.state in (JobState.PENDING, JobState.UNSCHEDULABLE) and job.submitted_at:
        duration = (job.finished_at or now) - job.submitted_at
    preposition = "after" if job.state.is_terminal else "for"
    time = f" {preposition} {how_long(duration)}" if duration is not None else ""
    tasks = Text.assemble(" (", counts_text(job), ")") if job.spec.replicas > 1 else Text("")
    return Text.assemble((job.job_id, "bold"), " ", state, time, tasks)


_HEADS = {
    JobState.PENDING: "has been pending",
    JobState.RUNNING: "has been running",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.KILLED: "was cancelled",
    JobState.UNSCHEDULABLE: "cannot be scheduled",
}


def why_lines(why: ExplanationView, now: datetime) -> list[Text]:
    """Why a job is being ended or its tasks wait, and what is due; a line each, often none."""
    lines = [Text(f"  {why.error}")] if why.error else []
    tasks = sum(count for _, count in why.counts)
    for group in why.waiting[:_MOST_SHOWN]:
        lines += _waiting(group, "it waits" if tasks == 1 else _who(group))
    pending = sum(count for state, count in why.counts if state is TaskState.PENDING)
    left = pending - sum(group.tasks for group in why.waiting[:_MOST_SHOWN])
    if why.waiting and left > 0:
        lines.append(Text(f"  {plural(left, 'more task')} with other reasons", style="dim"))
    for due, text in (
        (why.next_retry_at, "the next retry starts in {}"),
        (why.unschedulable_at, "it is given up in {} unless it is placed"),
        (why.times_out_at, "its time is over in {}"),
    ):
        if due is not None:
            lines.append(Text("  " + text.format(how_long(due - now)), style="dim"))
    if why.parent is not None and not why.state.is_terminal:
        lines.append(Text(f"  it ends with {why.parent}", style="dim"))
    if why.children:
        names = ", ".join(child.rpartition("/")[2] for child in why.children[:_MOST_SHOWN])
        more = len(why.children) - _MOST_SHOWN
        text = f"  its child jobs that go on: {names}"
        lines.append(Text(f"{text} and {more} more" if more > 0 else text, style="dim"))
    return lines


def _waiting(group: WaitingTasks, who: str) -> list[Text]:
    reason = group.reason
    about = f" ({reason.subject})" if reason.subject else ""
    lines = [Text.assemble(f"  {who}: ", (reason.code.value, "yellow"), about)]
    lines += [
        Text.assemble((f"    {label:8} ", "dim"), text)
        for label, text in (
            ("needs", reason.needed),
            ("nearest", reason.nearest),
            ("hint", reason.hint),
        )
        if text
    ]
    for rule in reason.rules:
        about = f" ({rule.subject})" if rule.subject else ""
        lines.append(
            Text(
                f"    turned down {plural(rule.workers, 'worker')}: {rule.rule.value}{about}",
                style="dim",
            )
        )
    return lines


def _who(group: WaitingTasks) -> str:
    if group.tasks == 1:
        return f"task {group.first_index} waits"
    return f"{group.tasks:,} tasks wait, task {group.first_index} first"


def _running(job: JobView, now: datetime) -> list[Text]:
    active = [task for task in job.tasks if task.state.is_active]
    lines = []
    for task in active[:_MOST_SHOWN]:
        attempt = task.last_attempt
        since = (
            f" for {how_long(now - attempt.started_at)}" if attempt and attempt.started_at else ""
        )
        state = Text(task.state.value, style=STATE_STYLES[task.state])
        lines.append(Text.assemble(f"  task {task.index} ", state, f" {task_detail(task)}{since}"))
        lines += _earlier_attempts(task)
    if len(active) > _MOST_SHOWN:
        lines.append(Text(f"  and {len(active) - _MOST_SHOWN} more", style="dim"))
    return lines


def _failed(job: JobView, last_lines: Sequence[LogLine]) -> list[Text]:
    failed = failures(job)
    if not failed:
        return [Text(f"  {job.error}")] if job.error else []
    lines = []
    if len(failed) > 1:
        lines.append(
            Text(f"  {len(failed)} of {plural(job.spec.replicas, 'task')} failed; first this one:")
        )
    task = failed[0]
    attempt = task.last_attempt
    if attempt is None:
        lines.append(Text(f"  task {task.index} never ran"))
        return lines
    lines.append(
        Text.assemble(
            f"  task {task.index} ", (describe_end(attempt), "red"), f" on {attempt.worker_id}"
        )
    )
    cause = further_cause(attempt)
    if cause:
        lines.append(Text(f"    {cause}"))
    lines += _earlier_attempts(task)
    if last_lines:
        lines.append(Text("  its last lines:", style="dim"))
        lines += [
            Text.assemble(("    | ", "dim"), Text.from_ansi(line.text)) for line in last_lines
        ]
    elif attempt.started_at is not None:
        lines.append(Text("  it wrote nothing", style="dim"))
    if not attempt.logs_complete:
        lines.append(Text("  some of its last lines were lost", style="dim"))
    return lines


def _earlier_attempts(task: TaskView) -> list[Text]:
    lines = []
    for attempt in task.attempts[:-1][-_MOST_SHOWN:]:
        cause = further_cause(attempt)
        text = f"attempt {attempt.number + 1} {describe_end(attempt)} on {attempt.worker_id}"
        lines.append(Text(f"    {text}: {cause}" if cause else f"    {text}", style="dim"))
    return lines
