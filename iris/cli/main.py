"""The `iris` command: which command it is, what surrounds it, and how its errors are shown.

Exit codes: 0; 2 for a command line that cannot be understood; 1 for what goes wrong otherwise; of
`job run`, the job's.
"""

import asyncio
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from iris.cli import cluster_commands, controller_commands, job_commands
from iris.cli.arguments import (
    Command,
    JobCancel,
    JobExplain,
    JobList,
    JobLogs,
    JobOutput,
    JobRun,
    JobStatus,
    parse_arguments,
)
from iris.cli.cluster_arguments import (
    ClusterAction,
    ClusterCommand,
    ClusterDrain,
    ClusterLogs,
    ClusterRestore,
    ClusterUndrain,
)
from iris.cli.config_arguments import ConfigCheck, ConfigExplain, ConfigLocal
from iris.cli.config_commands import run_config_command
from iris.cli.context import Context
from iris.cli.errors import UsageError, first_error
from iris.cli.outcome import INTERRUPTED, SIGNAL_BASE
from iris.cli.output import fetch_output
from iris.cli.run_job import run_job
from iris.cli.terminal import Terminal
from iris.cli.vm_arguments import ClusterInjectFault, ClusterVmLog
from iris.cli.vm_commands import run_vm_command
from iris.host.clock import SystemClock
from iris.host.ids import RandomIds
from iris.model.errors import Internal, IrisError, Unavailable

_BROKEN_PIPE = SIGNAL_BASE + 13
_DEBUG = "IRIS_DEBUG"


def main() -> None:
    """Runs this process's command line and exits."""
    # gRPC's own log lines are for its developers; what goes wrong, we say. Read at the first call.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Python has None for what was closed before it began.
    terminal = Terminal(sys.stdout or _nowhere(), sys.stderr or _nowhere())
    try:
        folder = Path.cwd()
    except FileNotFoundError:
        gone = "The current folder no longer exists."
        terminal.error(UsageError(gone, hint="Go to one that does: cd."))
        sys.exit(2)
    context = Context.of(os.environ, folder, terminal, SystemClock(), RandomIds())
    try:
        code = run_command_line(sys.argv[1:], context)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it flushes at the
        # end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _BROKEN_PIPE
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = _show(error, terminal, os.environ)
    sys.exit(code)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def run_command_line(arguments: Sequence[str], context: Context) -> int:
    """Carries out one command; the exit code. Errors are shown; only BrokenPipeError is raised."""
    try:
        with context.opened:
            return asyncio.run(_carry_out(parse_arguments(arguments), context))
    except SystemExit as end:  # argparse's, after --help
        return int(end.code or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- whatever it is, a person has to be told
        return _show(first_error(error), context.terminal, context.environment)


async def _carry_out(command: Command, context: Context) -> int:
    match command:
        case JobRun():
            return await run_job(command, context)
        case JobList():
            return await job_commands.list_jobs(command, context)
        case JobStatus():
            return await job_commands.show_status(command, context)
        case JobLogs():
            return await job_commands.show_logs(command, context)
        case JobCancel():
            return await job_commands.cancel_job(command, context)
        case JobExplain():
            return await job_commands.explain(command, context)
        case JobOutput():
            return await fetch_output(command, context)
        case ConfigCheck() | ConfigExplain() | ConfigLocal():
            return run_config_command(command, context)
        case ClusterVmLog() | ClusterInjectFault():
            return await run_vm_command(command, context)
        case _:
            return await _carry_out_on_cluster(command, context)


async def _carry_out_on_cluster(command: ClusterCommand, context: Context) -> int:
    match command:
        case ClusterAction():
            return await _act_on_cluster(command, context)
        case ClusterLogs():
            return await controller_commands.show_startup_logs(command, context)
        case ClusterDrain():
            return await cluster_commands.drain_worker(command, context, drain=True)
        case ClusterUndrain():
            return await cluster_commands.drain_worker(command, context, drain=False)
        case ClusterRestore():
            return await cluster_commands.restore_cluster(command, context)


async def _act_on_cluster(command: ClusterAction, context: Context) -> int:
    match command.verb:
        case "start" | "restart" | "reload" as verb:
            return await controller_commands.bring_up(verb, command.cluster, context)
        case "status":
            return await cluster_commands.show_status(command.cluster, context)
        case "stop":
            return await cluster_commands.stop_cluster(command.cluster, context)
        case "backup":
            return await cluster_commands.back_up_cluster(command.cluster, context)


def _show(error: BaseException, terminal: Terminal, environment: Mapping[str, str]) -> int:
    if isinstance(error, BrokenPipeError):
        raise error
    if environment.get(_DEBUG):
        traceback.print_exception(error)
    if isinstance(error, OSError):
        error = Unavailable(f"The output cannot be written, or a file not read: {error}.")
    elif not isinstance(error, IrisError):
        error = Internal(
            f"Something unexpected happened: {type(error).__name__}: {error}",
            hint=f"This is a mistake in Iris; with {_DEBUG}=1 it says where.",
        )
    terminal.error(error)
    return 2 if isinstance(error, UsageError) else 1
