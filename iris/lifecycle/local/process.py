"""Starts the process of a local controller, and keeps hold of those that this process started."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from iris.host.files import FileLock
from iris.host.processes import ProcessIdentity, end_processes
from iris.lifecycle.local.handshake import Launch
from iris.lifecycle.state_folder import StateFolder, note_holder

_MODULE = "iris.lifecycle.local.daemon"
# What the controller itself may need of its starter's environment. Tasks see none of it unless the
# configuration names it.
_ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "PATH", "SSH_AUTH_SOCK", "TZ")
# Whoever asks a process to end that does not know how to yet; it has nothing to tidy up.
_ABORT_GRACE = 2.0
_ABORT_DEADLINE = 10.0


@dataclass(slots=True)
class ControllerProcess:
    """A controller that this process started.

    Attributes:
        answer: The reading end of its answering pipe; open until `close_answer`.
        lifeline: The writing end, held open as long as the controller is to live; None if it is
            detached.
    """

    popen: subprocess.Popen[bytes]
    identity: ProcessIdentity | None
    answer: int
    lifeline: int | None

    def close_answer(self) -> None:
        """Once it has answered. Idempotent."""
        if self.answer >= 0:
            os.close(self.answer)
            self.answer = -1

    def cut_lifeline(self) -> None:
        """Lets an attached controller stop by itself. Idempotent."""
        lifeline, self.lifeline = self.lifeline, None
        if lifeline is not None:
            os.close(lifeline)

    def reap(self, timeout: float) -> int | None:
        """Its exit code (negative: the signal), once it has ended within that many seconds; else
        None.
        """
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def abort(self) -> int | None:
        """Ends it whatever it does, and lets go of it; blocks for a bounded time. Returns its exit
        code.
        """
        if self.identity is not None:
            end_processes([self.identity], grace=_ABORT_GRACE, deadline=_ABORT_DEADLINE)
        code = self.reap(_ABORT_DEADLINE)
        self.close_answer()
        self.cut_lifeline()
        return code


def spawn(
    folder: StateFolder, launch: Launch, lock: FileLock, *, attached: bool
) -> ControllerProcess:
    """Starts the process and hands it the lock. Its output goes to the startup log, which begins
    anew.

    Attached, it stops when this process is gone. Detached, it is in a session of its own and lives
    on.
    """
    argv, environment = controller_program(folder)
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        answer, answer_end = _pipe(ours, theirs)
        inherited = [answer_end, lock.descriptor]
        flags = [f"--answer_fd={answer_end}", f"--lock_fd={lock.descriptor}"]
        lifeline = None
        if attached:
            # The other way round: the process reads, we write nothing and keep it open.
            lifeline_end, lifeline = _pipe(theirs, ours)
            inherited.append(lifeline_end)
            flags.append(f"--lifeline_fd={lifeline_end}")
        log = theirs.enter_context(_new_log(folder.startup_log))
        popen = subprocess.Popen(
            [*argv, *flags],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=folder.path,
            pass_fds=inherited,
            start_new_session=not attached,
        )
        identity = ProcessIdentity.of(popen.pid)
        ours.pop_all()
    process = ControllerProcess(popen, identity, answer, lifeline)
    if identity is not None:
        note_holder(lock, identity)
    assert popen.stdin is not None
    # It may have died already; then the answering pipe ends as well, and that is where it is
    # noticed.
    with contextlib.suppress(BrokenPipeError), popen.stdin as stdin:
        stdin.write(launch.to_bytes())
    return process


def controller_program(folder: StateFolder) -> tuple[list[str], dict[str, str]]:
    """What runs a controller by the code of this process: argv, to which descriptors are added, and
    the environment.
    """
    argv = [sys.executable, *_interpreter_flags(), "-m", _MODULE, f"--state_dir={folder.path}"]
    return argv, _environment(os.environ, folder)


def _pipe(readers: contextlib.ExitStack, writers: contextlib.ExitStack) -> tuple[int, int]:
    """(reading end, writing end), each closed by its stack."""
    reading, writing = os.pipe()
    readers.callback(os.close, reading)
    writers.callback(os.close, writing)
    return reading, writing


@contextlib.contextmanager
def _new_log(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _interpreter_flags() -> list[str]:
    """Nothing is imported from the working folder or the user's own packages; otherwise as we run
    ourselves.
    """
    return ["-P", "-s", *(["-B"] if sys.dont_write_bytecode else [])]


def _environment(ours: Mapping[str, str], folder: StateFolder) -> dict[str, str]:
    environment = {name: ours[name] for name in _ENVIRONMENT if name in ours}
    # The import path is in sys.path, and only there, when a build system started us.
    environment["PYTHONPATH"] = os.pathsep.join(
        os.path.abspath(entry) for entry in sys.path if entry
    )
    environment["TMPDIR"] = str(folder.temporary)
    return environment


class StartedProcesses:
    """The controllers that this process started, by their state folders. Safe to use from any
    thread.

    They are held here, not by whoever asked: a lifeline has to stay open as long as this process
    lives.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: dict[Path, ControllerProcess] = {}

    def add(self, folder: StateFolder, process: ControllerProcess) -> None:
        """From now on this process's; one that had the folder before is let go of."""
        with self._lock:
            before = self._processes.pop(folder.path, None)
            self._processes[folder.path] = process
        if before is not None:
            before.cut_lifeline()
            before.reap(0)

    def get(self, folder: StateFolder) -> ControllerProcess | None:
        """The one of this folder, if this process started it and has not let go of it."""
        with self._lock:
            return self._processes.get(folder.path)

    def discard(self, folder: StateFolder) -> None:
        """Lets go of one that has ended: its lifeline, and its entry in the process table."""
        with self._lock:
            process = self._processes.pop(folder.path, None)
        if process is not None:
            process.cut_lifeline()
            process.reap(_ABORT_DEADLINE)


STARTED = StartedProcesses()
