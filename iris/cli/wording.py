"""How durations, exits and states are put into words, the same everywhere."""

import shlex
import signal
from collections.abc import Sequence
from datetime import datetime, timedelta

from iris.client.views import AttemptView, JobView
from iris.model.job import Entrypoint
from iris.model.pending import PendingCode, PendingReason
from iris.model.states import JobState, TaskState

STATE_STYLES: dict[JobState | TaskState, str] = {
    JobState.PENDING: "yellow",
    JobState.RUNNING: "cyan",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "bold red",
    JobState.KILLED: "magenta",
    JobState.UNSCHEDULABLE: "bold red",
    TaskState.PENDING: "yellow",
    TaskState.ASSIGNED: "yellow",
    TaskState.BUILDING: "blue",
    TaskState.RUNNING: "cyan",
    TaskState.SUCCEEDED: "green",
    TaskState.FAILED: "bold red",
    TaskState.KILLED: "magenta",
    TaskState.WORKER_FAILED: "bold red",
    TaskState.PREEMPTED: "magenta",
    TaskState.UNSCHEDULABLE: "bold red",
}

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def how_long(duration: timedelta) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, smaller, smaller_size in (
        ("d", _DAY, "h", _HOUR),
        ("h", _HOUR, "min", _MINUTE),
        ("min", _MINUTE, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller_size} {smaller}"
    return f"{whole} s"


def job_duration(job: JobView, now: datetime) -> timedelta | None:
    """How long it has run, or ran; None before it started."""
    if job.started_at is None:
        return None
    return (job.finished_at or now) - job.started_at


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; `signal 99` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def describe_end(attempt: AttemptView) -> str:
    """How an attempt ended, to stand behind `task 0`."""
    if attempt.signal is not None:
        return f"was ended by signal {attempt.signal} ({signal_name(attempt.signal)})"
    if attempt.exit_code is not None:
        return f"exited with code {attempt.exit_code}"
    return _STATE_ENDS[attempt.state]


def further_cause(attempt: AttemptView) -> str:
    """What there is to say beyond `describe_end`; often nothing."""
    if attempt.exit_code is not None and f"exited with code {attempt.exit_code}" in attempt.error:
        return ""
    return attempt.error.rstrip(".")


def brief(reason: PendingReason) -> str:
    """Why a task waits, for a line that changes while it does: the whole of it where somebody can
    do something about it, else only what is going on.
    """
    if reason.code in _PASSING:
        return f"{reason.code.value} ({reason.subject})" if reason.subject else reason.code.value
    return reason.summary()


_PASSING = frozenset(
    {
        PendingCode.WAITING_FOR_SCHEDULER,
        PendingCode.LAUNCHING_CAPACITY,
        PendingCode.RETRY_DELAY,
        PendingCode.WAITS_FOR_STOP,
    }
)


_STATE_ENDS = {
    TaskState.PENDING: "waits",
    TaskState.ASSIGNED: "is about to start",
    TaskState.BUILDING: "is being prepared",
    TaskState.RUNNING: "runs",
    TaskState.SUCCEEDED: "succeeded",
    TaskState.FAILED: "failed",
    TaskState.KILLED: "was cancelled",
    TaskState.WORKER_FAILED: "lost its worker",
    TaskState.PREEMPTED: "was preempted",
    TaskState.UNSCHEDULABLE: "could not be scheduled",
}


def plural(count: int, noun: str) -> str:
    """`1 task`, `3 tasks`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable(text: str) -> str:
    """What others wrote, for a person's terminal: characters that would command it are shown as
    escapes (`\\x1b`), lines and tabs stay.
    """
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def command_text(argv: Sequence[str]) -> str:
    """A job's command in one line, as it could be typed."""
    return printable(shlex.join(argv)).replace("\n", "\\n").replace("\t", "\\t")


def entrypoint_text(entrypoint: Entrypoint) -> str:
    """What a job runs, in one line: its command, or `callable train.main`."""
    if entrypoint.callable is not None:
        return printable(entrypoint.program)
    return command_text(entrypoint.argv)
