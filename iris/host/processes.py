"""Processes of this machine, safely: a pid alone may name another process tomorrow, so it goes with
its start time.

Where the kernel has pidfds (Linux 5.3 on) a process is pinned before it is checked and signalled,
so that no signal ever reaches a stranger that got the same pid. Elsewhere psutil checks the start
time right before each signal.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_HAS_PIDFD = hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal")
_HAS_PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True, slots=True, order=True)
class ProcessIdentity:
    """One process, told apart from any other that ever has the same pid.

    Attributes:
        start_time: When it began, on a clock of the system's own: to be compared, not read.
    """

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """The process that has this pid now; None if there is none, or only a zombie."""
        start_time = _start_time(pid)
        return None if start_time is None else cls(pid, start_time)

    @classmethod
    def current(cls) -> "ProcessIdentity":
        """This process."""
        own = cls.of(os.getpid())
        assert own is not None
        return own

    def is_alive(self) -> bool:
        """Whether it runs, or could: a zombie no longer does."""
        return _start_time(self.pid) == self.start_time

    def __str__(self) -> str:
        return f"pid {self.pid}"


class ProcessHandle:
    """A hold on one process, its child or not, to signal it and to wait for its end. Close it, or
    use it in `with`.

    Any thread may use it, one at a time. It neither owns the process nor reaps it.
    """

    def __init__(self, identity: ProcessIdentity, pidfd: int | None) -> None:
        self.identity = identity
        self._pidfd = pidfd

    @classmethod
    def open(cls, identity: ProcessIdentity) -> "ProcessHandle | None":
        """A handle; None if that process no longer runs."""
        pidfd = None
        if _HAS_PIDFD:
            try:
                pidfd = os.pidfd_open(identity.pid)
            except ProcessLookupError:
                return None
        handle = cls(identity, pidfd)
        # Only now that the pid is pinned does the comparison mean anything.
        if identity.is_alive():
            return handle
        handle.close()
        return None

    @property
    def descriptor(self) -> int | None:
        """One that can be read from once the process has ended; None where there are no pidfds."""
        return self._pidfd

    def send(self, signum: signal.Signals) -> bool:
        """Sends a signal; False if the process no longer runs. Raises PermissionError for somebody
        else's process.
        """
        try:
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signum)
            elif self.identity.is_alive():
                os.kill(self.identity.pid, signum)
            else:
                return False
        except ProcessLookupError:
            return False
        return True

    def wait(self, timeout: float) -> bool:
        """Blocks until it has ended, for at most `timeout` seconds; whether it has."""
        if self._pidfd is not None:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            return bool(poll.poll(max(0, round(timeout * 1000))))
        return _wait_without_pidfd(self.identity, timeout)

    def close(self) -> None:
        """Lets go of it. Idempotent."""
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is not None:
            os.close(pidfd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def descendants(root: ProcessIdentity) -> tuple[ProcessIdentity, ...]:
    """All processes below `root` that run now. One whose parent has ended is below whoever
    inherited it.
    """
    if not root.is_alive():
        return ()
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    found: list[ProcessIdentity] = []
    todo, seen = [root.pid], {root.pid}
    while todo:
        for pid in children.get(todo.pop(), ()):
            identity = ProcessIdentity.of(pid)
            if pid in seen or identity is None:
                continue
            seen.add(pid)
            todo.append(pid)
            found.append(identity)
    return tuple(found)


def command_line(identity: ProcessIdentity) -> str:
    """What it was started as, for a message; empty if it is gone or may not be read."""
    return " ".join(process_strings(identity, "cmdline"))


def process_strings(identity: ProcessIdentity, what: str) -> tuple[str, ...]:
    """The `cmdline` or `environ` of a process; empty if it is gone or may not be read."""
    if _HAS_PROC:
        try:
            data = Path(f"/proc/{identity.pid}/{what}").read_bytes()
        except OSError:
            return ()
        words = tuple(os.fsdecode(word) for word in data.split(b"\0") if word)
    else:
        words = _strings_without_proc(identity.pid, what)
    return words if identity.is_alive() else ()


def all_processes() -> tuple[ProcessIdentity, ...]:
    """Every process that can be seen and runs now."""
    return tuple(filter(None, (ProcessIdentity.of(pid) for pid, _ in _parents())))


def end_processes(
    processes: Iterable[ProcessIdentity], *, grace: float, deadline: float
) -> tuple[ProcessIdentity, ...]:
    """SIGTERM to all, SIGKILL to those that run after `grace` seconds (0: to all, at once); returns
    those that run after `deadline` seconds.

    Blocks for at most `deadline` seconds.
    """
    until = time.monotonic() + deadline
    with contextlib.ExitStack() as stack:
        handles = [
            stack.enter_context(handle) for handle in map(ProcessHandle.open, processes) if handle
        ]
        if grace > 0:
            for handle in handles:
                handle.send(signal.SIGTERM)
                # A stopped process takes the signal only once it continues.
                handle.send(signal.SIGCONT)
            handles = _still_running(handles, min(until, time.monotonic() + grace))
        for handle in handles:
            handle.send(signal.SIGKILL)
        return tuple(handle.identity for handle in _still_running(handles, until))


def _still_running(handles: Sequence[ProcessHandle], until: float) -> list[ProcessHandle]:
    return [handle for handle in handles if not handle.wait(max(0.0, until - time.monotonic()))]


def _start_time(pid: int) -> int | None:
    if not _HAS_PROC:
        return _start_time_without_proc(pid)
    fields = _stat(pid)
    return None if fields is None or fields[0] in ("Z", "X") else int(fields[19])


def _parents() -> list[tuple[int, int]]:
    """(pid, parent's pid) of every process that can be seen."""
    if not _HAS_PROC:
        return _parents_without_proc()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None:
                found.append((int(entry.name), int(fields[1])))
    return found


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the state on (proc(5)); the name before them may hold
    anything, also ')'.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


# Where there is no /proc (macOS). psutil is imported only there: it would be a tenth of a
# controller's time to start.


def _start_time_without_proc(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        return round(process.create_time() * 1_000_000)
    except psutil.NoSuchProcess:
        return None


def _parents_without_proc() -> list[tuple[int, int]]:
    import psutil

    return [(process.pid, process.info["ppid"]) for process in psutil.process_iter(["ppid"])]


def _strings_without_proc(pid: int, what: str) -> tuple[str, ...]:
    import psutil

    try:
        process = psutil.Process(pid)
        if what == "cmdline":
            return tuple(process.cmdline())
        return tuple(f"{name}={value}" for name, value in process.environ().items())
    except psutil.Error:
        return ()


def _wait_without_pidfd(identity: ProcessIdentity, timeout: float) -> bool:
    import psutil

    try:
        psutil.Process(identity.pid).wait(timeout)
    except psutil.TimeoutExpired:
        return not identity.is_alive()
    except psutil.NoSuchProcess:
        return True
    return True
