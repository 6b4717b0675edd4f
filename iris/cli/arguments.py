"""The command line of `iris`, as values: a frozen dataclass for each command, or for those that
take the same.

A job's own command stands behind `--` and is cut off before anything else is read, so that none of
its flags is ever taken for one of ours, nor one of ours, mistyped, for one of its.
"""

import argparse
import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NoReturn, TypeVar

from iris.cli.cluster_arguments import (
    CLUSTER_ROOM,
    ClusterCommand,
    ClusterFlags,
    add_cluster_commands,
)
from iris.cli.config_arguments import (
    ROOM,
    ConfigCheck,
    ConfigExplain,
    ConfigLocal,
    add_config_commands,
)
from iris.cli.errors import UsageError
from iris.cli.flags import (
    DEFAULT_LIST_LIMIT,
    add_cluster_flags,
    add_job_flags,
    add_list_flags,
    add_logs_flags,
)
from iris.cli.vm_arguments import VmCommand, add_vm_commands
from iris.version import VERSION

SEPARATOR = "--"
_RUN = "job run"


@dataclass(frozen=True, slots=True)
class JobRun:
    """`iris job run`: texts as they were typed; see iris.cli.job_spec for what they mean."""

    cluster: ClusterFlags
    argv: tuple[str, ...]
    name: str | None = None
    cpu: str | None = None
    memory: str | None = None
    disk: str | None = None
    tpu: str | None = None
    replicas: int | None = None
    gang_by: str | None = None
    env: tuple[str, ...] = ()
    constraint: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()
    toleration: tuple[str, ...] = ()
    port: tuple[str, ...] = ()
    priority: str | None = None
    scheduling_timeout: str | None = None
    timeout: str | None = None
    task_timeout: str | None = None
    max_task_failures: int = 0
    retries: int = 0
    preemption_retries: int | None = None
    stop_grace: str | None = None
    bundle_dir: str | None = None
    no_bundle: bool = False
    existing: str = "error"
    outlives_parent: bool = False
    lock_file: str | None = None
    wheelhouse: str | None = None
    python: str | None = None
    setup: tuple[str, ...] = ()
    detach: bool = False


@dataclass(frozen=True, slots=True)
class JobList:
    """`iris job list`."""

    cluster: ClusterFlags
    user: str | None = None
    active: bool = False
    limit: int = DEFAULT_LIST_LIMIT


@dataclass(frozen=True, slots=True)
class JobStatus:
    """`iris job status`."""

    cluster: ClusterFlags
    job: str


@dataclass(frozen=True, slots=True)
class JobLogs:
    """`iris job logs`."""

    cluster: ClusterFlags
    job: str
    follow: bool = False
    tail: int = 0
    since: str | None = None
    grep: str = ""
    stream: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobCancel:
    """`iris job cancel`."""

    cluster: ClusterFlags
    job: str


@dataclass(frozen=True, slots=True)
class JobExplain:
    """`iris job explain`."""

    cluster: ClusterFlags
    job: str


@dataclass(frozen=True, slots=True)
class JobOutput:
    """`iris job output`."""

    cluster: ClusterFlags
    task: str
    name: str
    folder: str


Command = (
    JobRun
    | JobList
    | JobStatus
    | JobLogs
    | JobCancel
    | JobExplain
    | JobOutput
    | ClusterCommand
    | VmCommand
    | ConfigCheck
    | ConfigExplain
    | ConfigLocal
)

C = TypeVar("C", bound=Command)


def parse_arguments(arguments: Sequence[str]) -> Command:
    """What was asked for. Raises UsageError; prints and raises SystemExit(0) for --help and
    --version.
    """
    head, has_command, tail = split_command(arguments)
    parser = _Parser(
        prog="iris", description="Runs jobs on a cluster, and shows what becomes of them."
    )
    parser.add_argument("--version", action="version", version=f"iris {VERSION}")
    add_cluster_flags(parser)
    leaves = _add_commands(parser)
    known, strays = parser.parse_known_args(head)
    words = " ".join(word for word in (known.room, getattr(known, "verb", None)) if word)
    leaf = leaves[words]
    if strays and words == _RUN and not strays[0].startswith("-"):
        raise _command_without_separator(parser, head, arguments)
    if strays:
        raise _stray(words, leaf, strays)
    if words == _RUN:
        return _job_run(known, has_command, tail)
    if has_command:
        raise UsageError(
            f"`iris {words}` takes no command.", hint=f"Leave out what stands behind {SEPARATOR!r}."
        )
    command: Command = _make(leaf.makes, known)
    return command


def split_command(arguments: Sequence[str]) -> tuple[list[str], bool, list[str]]:
    """What stands before the first `--`, whether there is one, and what stands behind it."""
    items = list(arguments)
    if SEPARATOR not in items:
        return items, False, []
    place = items.index(SEPARATOR)
    return items[:place], True, items[place + 1 :]


class _Parser(argparse.ArgumentParser):
    """One (sub)command. Errors are raised, not printed; flags are never abbreviated.

    Attributes:
        makes: The dataclass that holds what was parsed; only of commands that can be run.
    """

    def __init__(self, *, makes: type[Any] = object, **settings: Any) -> None:
        self.makes = makes
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings
        )

    @property
    def flag_names(self) -> list[str]:
        """Of all its flags, for suggestions."""
        return [name for action in self._actions for name in action.option_strings]

    def error(self, message: str) -> NoReturn:
        """Raises UsageError."""
        raise UsageError(
            f"{self.prog}: {message}.", hint=f"`{self.prog} --help` says what there is."
        )


def _add_commands(parser: _Parser) -> dict[str, _Parser]:
    rooms = parser.add_subparsers(dest="room", required=True, metavar="COMMAND")
    leaves: dict[str, _Parser] = {}

    def room(name: str, text: str) -> Any:
        group = rooms.add_parser(name, help=text, description=text)
        return group.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    def leaf(
        group: Any, room_name: str, name: str, makes: type[Any], text: str, **settings: Any
    ) -> _Parser:
        made: _Parser = group.add_parser(name, help=text, description=text, makes=makes, **settings)
        if _needs_cluster(makes):
            add_cluster_flags(made, default=argparse.SUPPRESS)
        leaves[f"{room_name} {name}"] = made
        return made

    jobs = room("job", "Run and look after jobs.")
    run = leaf(
        jobs,
        "job",
        "run",
        JobRun,
        "Run a command as a job, show its output, and exit with its code.",
        usage="iris job run [FLAG...] -- COMMAND [ARGUMENT...]",
    )
    add_job_flags(run)
    add_list_flags(leaf(jobs, "job", "list", JobList, "List jobs, newest first."))
    for name, makes, text in (
        ("status", JobStatus, "Show a job and its tasks."),
        ("explain", JobExplain, "Say why a job waits, where it runs, or how it failed."),
        ("cancel", JobCancel, "End a job."),
    ):
        leaf(jobs, "job", name, makes, text).add_argument("job", metavar="JOB", help=_JOB_HELP)
    logs = leaf(jobs, "job", "logs", JobLogs, "Show what a job, or one task of it, has written.")
    logs.add_argument("job", metavar="JOB", help=_JOB_HELP + ", or a task: JOB/INDEX")
    add_logs_flags(logs)

    output = leaf(
        jobs,
        "job",
        "output",
        JobOutput,
        "Copy a folder that a task has published into a new folder.",
    )
    output.add_argument("task", metavar="TASK", help="JOB/INDEX, as `iris job status` names it")
    output.add_argument("name", metavar="NAME", help="of the output")
    output.add_argument("folder", metavar="DIR", help="a folder to make; there must be none yet")

    clusters = room("cluster", CLUSTER_ROOM)
    add_cluster_commands(lambda name, makes, text: leaf(clusters, "cluster", name, makes, text))
    add_vm_commands(lambda name, makes, text: leaf(clusters, "cluster", name, makes, text))

    configs = room("config", ROOM)
    add_config_commands(lambda name, makes, text: leaf(configs, "config", name, makes, text))
    return leaves


_JOB_HELP = "a job: its name, or /USER/NAME"


def _make(makes: type[C], known: argparse.Namespace, **more: Any) -> C:
    """Fills the dataclass from the parsed flags of the same names; `verb` is the command's own."""
    values = vars(known)
    cluster = ClusterFlags(**{field.name: values[field.name] for field in fields(ClusterFlags)})
    given = {field.name: values[field.name] for field in fields(makes) if field.name in values}
    tuples = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    more = {**more, "cluster": cluster} if _needs_cluster(makes) else more
    return makes(**{**given, **tuples, **more})


def _needs_cluster(makes: type[Any]) -> bool:
    """Whether a command talks to a cluster."""
    return any(field.name == "cluster" for field in fields(makes))


def _job_run(known: argparse.Namespace, has_command: bool, tail: Sequence[str]) -> JobRun:
    if not tail:
        missing = "Nothing stands behind '--'." if has_command else "There is no command to run."
        raise UsageError(missing, hint="Write it behind '--': iris job run -- python3 train.py")
    return _make(JobRun, known, argv=tuple(tail))


def _stray(words: str, leaf: _Parser, strays: Sequence[str]) -> UsageError:
    """What to say about the first argument that nobody knows."""
    first = strays[0]
    if not first.startswith("-"):
        return UsageError(
            f"`iris {words}` does not take {first!r}.",
            hint=f"`iris {words} --help` says what it takes.",
        )
    name = first.partition("=")[0]
    nearest = difflib.get_close_matches(name, leaf.flag_names, n=1)
    hint = f"Did you mean {nearest[0]}?" if nearest else f"`iris {words} --help` lists its flags."
    if words == _RUN:
        hint += " Flags of the job's own command go behind '--'."
    return UsageError(f"`iris {words}` has no flag {name}.", hint=hint)


def _command_without_separator(
    parser: _Parser, head: Sequence[str], arguments: Sequence[str]
) -> UsageError:
    """`iris job run python3 ...`: what is meant is clear, but the next mistyped flag would not be."""
    place = _place_of_first_stray(parser, head)
    right = shlex.join(["iris", *arguments[:place], SEPARATOR, *arguments[place:]])
    return UsageError(
        f"The job's command, {head[place]!r}, has to stand behind '--'.", hint=f"Write: {right}"
    )


def _place_of_first_stray(parser: _Parser, arguments: Sequence[str]) -> int:
    """Where the first argument stands that is neither ours nor the value of a flag of ours."""
    for end in range(1, len(arguments)):
        try:
            _, strays = parser.parse_known_args(arguments[:end])
        except UsageError:
            continue  # cut before the command's words, or between a flag and its value
        if strays:
            return end - 1
    return len(arguments) - 1
