"""A job's set-up commands, and where its Python environment stands in its variables."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from iris.host.clock import Clock
from iris.model.states import TaskState
from iris.worker.attempts.outcome import Outcome
from iris.worker.build_step import LineSink, run_step
from iris.worker.logs.lines import LogStream
from iris.worker.logs.log_buffer import LogBuffer
from iris.worker.logs.log_pump import now_ns
from iris.worker.logs.redaction import Redaction
from iris.worker.protocols import ContainerRuntime, RunRequest, TreeUsage

# For each command.
SETUP_TIMEOUT = timedelta(minutes=30)


class SetupFailed(Exception):
    """A set-up command failed, and the attempt with it; `outcome` says how."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error)
        self.outcome = outcome


def in_python_environment(variables: Mapping[str, str], environment: Path) -> dict[str, str]:
    """The same variables, with the environment's programs before all others."""
    path = variables.get("PATH") or os.defpath
    return {
        **variables,
        "PATH": f"{environment / 'bin'}{os.pathsep}{path}",
        "VIRTUAL_ENV": str(environment),
    }


async def run_setup(
    commands: Sequence[str],
    task: RunRequest,
    *,
    runtime: ContainerRuntime,
    logs: LogBuffer,
    redaction: Redaction,
    clock: Clock,
    time_limit: timedelta = SETUP_TIMEOUT,
) -> None:
    """Runs the commands one after the other, each as the task itself would be run; what they write
    goes to the BUILD log as fast as it is taken. Cancelled, it leaves no process.

    Raises SetupFailed for the first that fails.
    """

    def show(lines: list[bytes]) -> None:
        logs.append(now_ns(clock), LogStream.BUILD, lines)

    sink = LineSink(show, has_room=lambda: logs.has_room)
    logs.on_room = lambda: sink.on_room()
    for number, command in enumerate(commands, start=1):
        show([redaction.clean(line.encode()) for line in f"$ {command}".splitlines()])
        request = replace(
            task, name=f"{task.name} (set-up {number})", argv=("/bin/sh", "-c", command)
        )
        end = await run_step(
            runtime, request, sink, time_limit=time_limit, clock=clock, redaction=redaction
        )
        if end.problem:
            report = end.report
            usage = TreeUsage(report.cpu_seconds, 0, report.peak_memory_bytes, 0)
            raise SetupFailed(
                Outcome(
                    TaskState.FAILED,
                    report.exit_code,
                    report.signal,
                    f"The set-up command {_short(command)!r} {end.describe()}",
                    usage,
                )
            )


def _short(command: str) -> str:
    first, _, rest = command.partition("\n")
    return f"{first[:80]}..." if rest or len(first) > 80 else first
