"""Does the command line do what it was told, and nothing that it was not?"""

import asyncio
import io
from dataclasses import dataclass
from pathlib import Path

from iris.cli.context import Context
from iris.cli.main import run_command_line
from iris.cli.terminal import Terminal
from iris.host.clock import SystemClock
from iris.host.ids import RandomIds
from iris.smoke.case import Case, check, check_equal
from iris.smoke.context import CaseContext
from iris.smoke.folders import folder_with

_PROGRAM = b"import sys; print('read', open('data.txt').read()); sys.exit(3)\n"


async def command_line(context: CaseContext) -> None:
    """`iris job run` sends a folder and submits a job; the other commands show what became of it. A flag that is
    mistyped is refused, with the right one, and nothing is submitted.
    """
    iris = _Iris(context)
    run = ("run", "--detach", "--cpu=100m", f"--name={iris.name}")
    command = ("--", context.python, "-I", "-S", "program.py")
    with folder_with({"program.py": _PROGRAM, "data.txt": b"this"}) as folder:
        refused = await iris.job(folder, *run, "--memroy=32MiB", *command)
        submitted = await context.client.list_jobs(str(context.job_id()))
        accepted = await iris.job(folder, *run, "--memory=32MiB", *command)
    check_equal(
        (refused.code, submitted), (2, ()), "the code of a mistyped flag, and the jobs then"
    )
    for spelling in ("--memroy", "--memory"):
        check(spelling in refused.err, f"{spelling} in what is said", refused.err)
    check_equal(
        (accepted.code, accepted.out),
        (0, f"{context.job_id()}\n"),
        "the right one's code and output",
    )
    await context.client.wait(context.job_id())
    logs = await iris.job(Path("/"), "logs", iris.name)
    check_equal((logs.code, logs.out), (0, "read this\n"), f"its output ({logs.err})")
    status = await iris.job(Path("/"), "status", iris.name)
    check("exit code 3" in status.out, "a status with the exit code", status)
    context.saw("refused", " ".join(refused.err.split()))
    context.saw("then ran", f"{context.job_id()}: {logs.out.strip()!r}, exit code 3")


@dataclass(frozen=True, slots=True)
class _Done:
    code: int
    out: str
    err: str


class _Iris:
    """The command line of the user whose job the case runs."""

    def __init__(self, context: CaseContext) -> None:
        _, self._user, self.name = str(context.job_id()).split("/")
        self._cluster = context.cluster

    async def job(self, folder: Path, *arguments: str) -> _Done:
        """`iris job ...`, called in a folder."""
        out, err = io.StringIO(), io.StringIO()
        terminal = Terminal(out, err)
        around = Context.of({"USER": self._user}, folder, terminal, SystemClock(), RandomIds())
        with folder_with({"token": self._cluster.token.encode()}) as secret:
            where = (f"--address={self._cluster.address}", f"--token-file={secret / 'token'}")
            # It has an event loop of its own.
            code = await asyncio.to_thread(run_command_line, (*where, "job", *arguments), around)
        return _Done(code, out.getvalue(), err.getvalue())


COMMAND_LINE_CASES = (
    Case("command-line", "The command line runs jobs, and refuses what is mistyped.", command_line),
)
