"""How an attempt ended, from how its processes did."""

import signal
from dataclasses import dataclass

from iris.model.resources import format_bytes
from iris.model.states import TaskState
from iris.worker.protocols import ExitReport, TreeUsage
from iris.worker.runtime.signals import signal_name


@dataclass(frozen=True, slots=True)
class Outcome:
    """A terminal state and what led to it."""

    state: TaskState
    exit_code: int | None = None
    signal: int | None = None
    error: str = ""
    usage: TreeUsage | None = None


def outcome_of(report: ExitReport, program: str) -> Outcome:
    """KILLED if it was stopped before it ended, else by its exit code; `error` says why in words."""
    usage = TreeUsage(report.cpu_seconds, 0, report.peak_memory_bytes, 0)
    if report.stopped:
        state, error = TaskState.KILLED, report.error
    elif report.exit_code == 0 and not report.error:
        state, error = TaskState.SUCCEEDED, ""
    else:
        state, error = TaskState.FAILED, report.error or _why(report, program)
    return Outcome(state, report.exit_code, report.signal, error, usage)


def _why(report: ExitReport, program: str) -> str:
    if report.signal is None:
        return f"{program} exited with code {report.exit_code}."
    text = f"{program} was killed by {signal_name(report.signal)}."
    if report.signal == signal.SIGKILL:
        text += (
            " Not by Iris: perhaps by the kernel for lack of memory"
            f" (its peak was at least {format_bytes(report.peak_memory_bytes)})."
        )
    return text
