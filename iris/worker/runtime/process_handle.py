"""The worker's hold on one process tree that its runtime runs."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from iris.model.errors import InvalidArgument, IrisError, Unavailable
from iris.worker.protocols import ExitReport, RunRequest, TreeUsage
from iris.worker.runtime import wire
from iris.worker.runtime.exceeded import exceeding
from iris.worker.runtime.signals import signal_name
from iris.worker.runtime.usage import sample_below

_log = logging.getLogger(__name__)


class ProcessRunHandle:
    """See RunHandle. Belongs to one event loop.

    `on_answer` is called once, when the supervisor has said its first word or is gone; `on_end`
    once, when no process of the tree is left: `control` is then the caller's to close, or to use for
    another request, for which the supervisor `is_ready`, or will say so.
    """

    def __init__(
        self,
        request: RunRequest,
        control: socket.socket,
        pipes: tuple[BinaryIO, BinaryIO],
        *,
        on_answer: Callable[[], None],
        on_end: Callable[["ProcessRunHandle"], None],
    ) -> None:
        self._request = request
        self.control = control
        self.is_ready = False
        self._stdout, self._stderr = pipes
        self._on_answer: Callable[[], None] | None = on_answer
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[int] = self._loop.create_future()
        self._ended: asyncio.Future[ExitReport] = self._loop.create_future()
        self._failure: IrisError | None = None
        self._received = b""
        self._supervisor = 0
        self._earlier_ticks = 0
        self._last: ExitReport | None = None
        self._memory_group: Path | None = None
        self._disk_bytes = 0
        self._stop_reason = ""
        self._peak_bytes = 0
        # By number: for a socket, the loop works out how it is printed.
        self._loop.add_reader(control.fileno(), self._on_readable)

    @property
    def stdout(self) -> BinaryIO:
        """See RunHandle."""
        return self._stdout

    @property
    def stderr(self) -> BinaryIO:
        """See RunHandle."""
        return self._stderr

    @property
    def supervisor_pid(self) -> int:
        """Of the process above the tree; 0 until the program runs."""
        return self._supervisor

    async def started(self) -> int:
        """See RunHandle."""
        await asyncio.wait((self._started, self._ended), return_when=asyncio.FIRST_COMPLETED)
        if self._started.done():
            return self._started.result()
        raise self._failure or Unavailable(
            f"The program was not started: {self._ended.result().error}"
        )

    async def wait(self) -> ExitReport:
        """See RunHandle."""
        return await asyncio.shield(self._ended)

    def stop(self, reason: str, grace: timedelta | None = None) -> None:
        """See RunHandle."""
        if self._ended.done():
            return
        self._stop_reason = self._stop_reason or reason
        wanted = self._request.stop_grace if grace is None else grace
        # If the supervisor is gone, what became of the tree is about to be read.
        with contextlib.suppress(ConnectionError):
            self.control.sendall(wire.line(wire.STOP, int(wanted / timedelta(milliseconds=1))))

    def usage(self) -> TreeUsage | None:
        """See RunHandle. Reads /proc: about 0.1 ms a process."""
        if self._ended.done() or not self._supervisor:
            return None
        sample = sample_below(self._supervisor, self._memory_group, self._earlier_ticks)
        self._peak_bytes = max(self._peak_bytes, sample.memory_bytes)
        return TreeUsage(
            sample.cpu_seconds,
            sample.memory_bytes,
            self._peak_bytes,
            sample.processes,
            self._disk_bytes,
        )

    def _on_readable(self) -> None:
        try:
            chunk = self.control.recv(wire.MAX_LINE)
        except BlockingIOError:
            return
        except ConnectionError:
            chunk = b""
        if self._on_answer is not None:
            self._on_answer()
            self._on_answer = None
        *lines, self._received = (self._received + chunk).split(b"\n")
        for line in lines:
            self._on_line(line.split())
        if not chunk and self._last is None:
            self._last = _lost("The processes that supervised it were killed", self._started.done())
        if self._last is not None:
            self._end(self._last)

    def _on_line(self, words: list[bytes]) -> None:
        match words:
            case [wire.STARTED, pid, supervisor, group, ticks]:
                self._supervisor = int(supervisor)
                self._earlier_ticks = int(ticks)
                if group != wire.NONE:
                    self._memory_group = Path(os.fsdecode(bytes.fromhex(group.decode())))
                self._started.set_result(int(pid))
            case [wire.FAILED, stage, number]:
                self._failure = _explain(stage, int(number), self._request)
                self._last = ExitReport(None, None, str(self._failure), started=False)
            case [wire.EXITED, code, number, cause, microseconds, kib, excess, amount]:
                report = self._report(code, number, cause, int(microseconds), int(kib))
                if cause == wire.BY_LIMIT:
                    report = exceeding(report, excess.decode(), int(amount), self._request.limits)
                self._last = report
            case [wire.READY]:
                self.is_ready = True
            case [wire.LOST, code]:
                how = signal_name(-int(code)) if int(code) < 0 else f"exit code {int(code)}"
                self._last = _lost(
                    f"Its supervisor ended unexpectedly ({how})", self._started.done()
                )
            case [wire.DISK, amount]:
                self._disk_bytes = int(amount)
            case [wire.STUCK, pids]:
                _log.warning("%s: processes do not die: %s", self._request.name, pids.decode())
                self._request.say(
                    f"These processes were killed but do not end: {pids.decode()}. Still waiting for them."
                )
            case _:
                _log.error("%s: its supervisor said %r", self._request.name, words)

    def _report(
        self, code: bytes, number: bytes, cause: bytes, microseconds: int, kib: int
    ) -> ExitReport:
        error = ""
        if cause == wire.BY_STOP:
            error = self._stop_reason
        elif cause == wire.BY_SPAWNER_LOSS:
            error = "The process that starts tasks on this machine was killed, and the task was ended with it."
        return ExitReport(
            exit_code=None if code == b"-" else int(code),
            signal=None if number == b"-" else int(number),
            error=error,
            started=self._started.done(),
            stopped=cause == wire.BY_STOP,
            cpu_seconds=microseconds / 1e6,
            peak_memory_bytes=max(self._peak_bytes, kib * 1024),
        )

    def _end(self, report: ExitReport) -> None:
        self._loop.remove_reader(self.control.fileno())
        self._ended.set_result(report)
        self._on_end(self)


def _lost(what: str, started: bool) -> ExitReport:
    return ExitReport(None, None, f"{what}; the task was killed with it.", started=started)


def _explain(stage: bytes, number: int, request: RunRequest) -> IrisError:
    """What went wrong before the program ran, and what to do about it."""
    reason = os.strerror(number) if number else "unexpected error, see its stderr"
    if stage == wire.STAGE_FORK:
        return Unavailable(
            f"No process could be started for {request.name}: {reason}.",
            hint="The machine has too many.",
        )
    if stage == wire.STAGE_ISOLATE:
        return Unavailable(f"{request.name} could not be isolated: {reason}.")
    if stage == wire.STAGE_CHDIR:
        return InvalidArgument(f"The folder {str(request.cwd)!r} cannot be entered: {reason}.")
    return _explain_exec(number, reason, request)


def _explain_exec(number: int, reason: str, request: RunRequest) -> IrisError:
    program = request.argv[0]
    inside = request.cwd / program
    if number == errno.ENOENT and "/" not in program:
        hint = (
            f"There is a {program} in the task's folder: say ./{program}."
            if inside.exists()
            else "Is it installed?"
        )
        path = request.env.get("PATH", os.defpath)
        return InvalidArgument(
            f"The program {program!r} was not found on the PATH ({path}).", hint=hint
        )
    hints = {
        errno.ENOENT: "Its first line names an interpreter that does not exist."
        if inside.exists()
        else "Relative paths start in the bundle's folder.",
        errno.EACCES: f"Make it executable (chmod +x {program}), or run it by its interpreter (python3 {program}).",
        errno.ENOEXEC: "It needs a first line like #!/usr/bin/env python3, "
        f"or to be run by its interpreter (python3 {program}).",
        errno.E2BIG: "The arguments and the environment together are too long.",
    }
    return InvalidArgument(
        f"The program {program!r} could not be executed: {reason}.", hint=hints.get(number, "")
    )
