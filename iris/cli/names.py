"""Ids of jobs from what people type, and a name for a job that was given none."""

import getpass
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from iris.cli.errors import UsageError
from iris.host.ids import IdSource
from iris.model.errors import InvalidArgument
from iris.model.ids import JobId, parse_job_id, parse_job_or_task_id

_MAX_PROGRAM_NAME = 40
_SUFFIX_DIGITS = 6
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
# Programs that only run another one; a job is called after that.
_INTERPRETER = re.compile(r"(python|pypy|bash|sh|zsh|dash|perl|ruby|node|uv|env|nice|time)[0-9.]*")
_FALLBACK = "job"


def user_name(environment: Mapping[str, str]) -> str:
    """The first part of job ids: $USER, or who the system says this is, in the letters an id may
    have.
    """
    name = environment.get("USER") or _system_user()
    return _as_segment(name) or "user"


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without an entry, as in many containers
        return "user"


def default_name(argv: Sequence[str], ids: IdSource) -> str:
    """`train-3f9a2c` for `python3 train.py`: the program's name and a few random digits."""
    suffix = ids.fresh("job").rpartition("-")[2][-_SUFFIX_DIGITS:]
    return f"{program_name(argv)}-{suffix}"


def program_name(argv: Sequence[str]) -> str:
    """What a command is called: its program, or what an interpreter is given to run."""
    program = PurePath(argv[0]).name
    if _INTERPRETER.fullmatch(program):
        rest = list(argv[1:])
        while rest and rest[0].startswith("-") and rest[0] != "-c":
            rest.pop(0)
        if rest and rest[0] != "-c":
            program = rest[0]
    name = PurePath(program).name
    stem = (
        PurePath(name).stem
        if PurePath(name).suffix in (".py", ".sh", ".pl", ".rb", ".js")
        else name
    )
    segment = _as_segment(stem)[:_MAX_PROGRAM_NAME]
    return _FALLBACK if not segment or segment.isdigit() else segment


def _as_segment(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text).strip("-.")[:63]


def new_job_id(user: str, name: str) -> JobId:
    """The id of a job that is to be. Raises UsageError for a name that cannot be one."""
    path = name if name.startswith("/") else f"/{user}/{name}"
    try:
        return parse_job_id(path)
    except InvalidArgument as error:
        raise UsageError(f"{name!r} is no name for a job.", hint=error.hint) from None


def resolve(text: str, user: str) -> str:
    """The id of a job or task that exists: `run-7` is `/<user>/run-7`, `run-7/2` its task 2. Raises
    UsageError.
    """
    path = text if text.startswith("/") else f"/{user}/{text}"
    try:
        parse_job_or_task_id(path)
    except InvalidArgument as error:
        raise UsageError(f"{text!r} is no job or task.", hint=error.hint) from None
    return path


def resolve_job(text: str, user: str) -> JobId:
    """The id of a job that exists; for a task, its job's. Raises UsageError."""
    return parse_job_or_task_id(resolve(text, user))[0]


def short_name(job_id: str, user: str) -> str:
    """The shortest text that `resolve` takes for it."""
    return job_id.removeprefix(f"/{user}/")
