"""The flags of each command, with their help and defaults."""

import argparse

from iris.client import LogStream
from iris.model.job import ExistingJobPolicy
from iris.model.priority import PriorityBand

DEFAULT_LIST_LIMIT = 20

_JOB_EXAMPLES = """\
examples:
  iris job run -- python3 train.py --epochs 3
  iris job run --cpu 2 --memory 4GiB --replicas 3 -- ./worker.sh
  iris job run --tpu v5litepod-16 --port ring -- python3 ring_all_reduce.py

The caller's folder travels with the job (see --bundle-dir), except what .gitignore and .irisignore
name.
Ctrl-C cancels the job; a second one leaves at once. With --detach the job stays.
Exit code: the job's (of the first task that failed), 128 + N if signal N ended it, 130 after Ctrl-C.
"""


def add_cluster_flags(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """Flags that say which cluster. They may stand before the command's words or behind them; where
    both parsers of a line take them, the inner one's `default` is argparse.SUPPRESS, or it would
    undo what the outer one found.
    """
    group = parser.add_argument_group(
        "which cluster (by default the one that runs on this machine)"
    )
    for name, metavar, text in (
        ("--address", "HOST:PORT", "of its controller; needs --token-file"),
        ("--token-file", "FILE", "file with the cluster's token"),
        ("--state-dir", "DIR", "state folder of a local cluster; also $IRIS_STATE_DIR"),
        (
            "--config",
            "FILE",
            "its configuration: finds it wherever it is, through a tunnel if needed",
        ),
    ):
        group.add_argument(name, metavar=metavar, help=text, default=default)


def add_job_flags(parser: argparse.ArgumentParser) -> None:
    """Flags that say what a job is."""
    parser.epilog = _JOB_EXAMPLES
    parser.add_argument(
        "--name", help="of the job; default: the program's name and a random suffix"
    )
    needs = parser.add_argument_group("what each task needs")
    needs.add_argument("--cpu", metavar="CORES", help="2, 1.5 or 500m (default 1; with --tpu 0)")
    needs.add_argument(
        "--memory", metavar="SIZE", help="4GiB, 500MB (default 512MiB; with --tpu 0)"
    )
    needs.add_argument("--disk", metavar="SIZE", help="(default 0)")
    needs.add_argument(
        "--tpu",
        metavar="TYPE",
        help="e.g. v5litepod-16: a gang with one task on each VM of such a slice",
    )
    needs.add_argument(
        "--constraint",
        action="append",
        default=[],
        metavar="RULE",
        help="only on workers with this attribute: zone=a, zone!=a, 'zone in a,b', zone (any), !zone, "
        "'memory-gb>=64' (also >, <, <=); repeatable",
    )
    needs.add_argument(
        "--prefer",
        action="append",
        default=[],
        metavar="RULE",
        help="the same, but only if there is a choice; repeatable",
    )
    needs.add_argument(
        "--toleration",
        action="append",
        default=[],
        metavar="KEY[=VALUE]",
        help="also on workers with this taint; repeatable",
    )
    needs.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="NAME",
        help="a free port, given as $IRIS_PORT_<NAME>; repeatable",
    )
    shape = parser.add_argument_group("how many, and what happens when they fail")
    shape.add_argument(
        "--replicas", type=int, metavar="N", help="tasks (default 1, or one for each VM of --tpu)"
    )
    shape.add_argument(
        "--gang-by",
        metavar="ATTRIBUTE",
        help="start all tasks together on workers that share it, e.g. tpu-name",
    )
    shape.add_argument(
        "--retries",
        type=int,
        default=0,
        metavar="N",
        help="of a task that fails (default %(default)s)",
    )
    shape.add_argument(
        "--preemption-retries",
        type=int,
        metavar="N",
        help="of a task that loses its machine (default 100)",
    )
    shape.add_argument(
        "--stop-grace",
        metavar="TIME",
        help="between SIGTERM and SIGKILL, e.g. 5s (default: the cluster's)",
    )
    shape.add_argument(
        "--max-task-failures",
        type=int,
        default=0,
        metavar="N",
        help="so many tasks may fail for good before the job does (default %(default)s)",
    )
    _add_order_flags(parser.add_argument_group("when, and for how long"))
    program = parser.add_argument_group("what it runs")
    program.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable for it; repeatable",
    )
    program.add_argument(
        "--bundle-dir",
        metavar="DIR",
        help="folder that travels with the job (default: the caller's)",
    )
    program.add_argument(
        "--no-bundle", action="store_true", help="send no folder; the command is on the machines"
    )
    program.add_argument(
        "--detach", action="store_true", help="print the job's id and leave it running"
    )
    _add_environment_flags(parser.add_argument_group("what is made ready before it runs"))


def _add_environment_flags(environment: argparse._ArgumentGroup) -> None:
    environment.add_argument(
        "--lock-file",
        metavar="FILE",
        help="install what this file of the bundle pins: a requirements file with hashes, or a uv.lock; "
        "workers do it once for each such file",
    )
    environment.add_argument(
        "--wheelhouse",
        metavar="DIR",
        help="folder of the bundle with the wheels (default: uv's index on the worker)",
    )
    environment.add_argument(
        "--python",
        metavar="VERSION",
        help="e.g. 3.11; the machine must have it (default: the one that the worker runs on)",
    )
    environment.add_argument(
        "--setup",
        action="append",
        default=[],
        metavar="COMMAND",
        help="a command line run before it, in its folder; repeatable",
    )


def _add_order_flags(order: argparse._ArgumentGroup) -> None:
    order.add_argument(
        "--priority",
        choices=[band.value for band in PriorityBand],
        help="an earlier band is served first, and may take the place of a later one's running work "
        "(default: the parent's for a child job, else interactive)",
    )
    order.add_argument(
        "--scheduling-timeout",
        metavar="TIME",
        help="give up a job that has not been placed by then, e.g. 10m (default: never)",
    )
    order.add_argument(
        "--timeout",
        metavar="TIME",
        help="stop it so long after its first task was placed, e.g. 2h (default: never)",
    )
    order.add_argument(
        "--task-timeout",
        metavar="TIME",
        help="stop a task that has run for so long, as failed, e.g. 30m (default: never)",
    )
    order.add_argument(
        "--existing",
        choices=[policy.name.lower() for policy in ExistingJobPolicy],
        default=ExistingJobPolicy.ERROR.name.lower(),
        help="what happens to a job of that name: error refuses a different one, keep keeps one that "
        "has not ended, replace ends it first (default %(default)s)",
    )
    order.add_argument(
        "--outlives-parent",
        action="store_true",
        help="a child job that goes on when its parent has ended",
    )


def add_list_flags(parser: argparse.ArgumentParser) -> None:
    """Flags that say which jobs are listed."""
    parser.add_argument("--user", help="only jobs of this user")
    parser.add_argument("--active", action="store_true", help="only jobs that have not ended")
    parser.add_argument(
        "--limit",
        type=_positive,
        default=DEFAULT_LIST_LIMIT,
        metavar="N",
        help="at most N (default %(default)s)",
    )


def add_logs_flags(parser: argparse.ArgumentParser) -> None:
    """Flags that say which lines are shown."""
    parser.add_argument("--follow", "-f", action="store_true", help="go on until the job has ended")
    parser.add_argument(
        "--tail",
        type=_positive,
        default=0,
        metavar="N",
        help="only the last N lines, of those that match, of each attempt",
    )
    parser.add_argument(
        "--since", metavar="WHEN", help="only lines since then: 10m (ago), or 2026-01-31T08:00:00Z"
    )
    parser.add_argument(
        "--grep",
        default="",
        metavar="REGEX",
        help="only lines with this in their first 4 KiB, e.g. 'step 1[0-9]+: loss'",
    )
    parser.add_argument(
        "--stream",
        action="append",
        default=[],
        choices=[stream.value for stream in LogStream],
        help="only lines of this stream; repeatable",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
