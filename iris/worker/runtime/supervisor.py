"""The process above one attempt's tree: starts its root, ends all of it, and says how it ended.

A fork of the spawner, never executed anew. Single-threaded. It lives until no process of the tree
is left, whatever happens to the worker or the spawner, and its exit code is 0 only if that is so.
"""

import math
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import NoReturn

from iris.worker.runtime import process_control, process_tree, wire
from iris.worker.runtime.wakeup import SPAWNER_DIED, Wakeup

# Between kill rounds when no child's end wakes us first; then a tree that still does not end is
# reported.
_KILL_ROUND_SECONDS = 0.02
_STUCK_SECONDS = 10.0
_EXEC_FAILED = 127
# Every kind of child, also one cloned without a signal for its parent.
_WALL = 0x40000000 if sys.platform == "linux" else 0


def supervise(control: socket.socket, stdout: int, stderr: int, spawner: int) -> NoReturn:
    """Runs in the forked child; never returns. `spawner` is its parent's pid; the rest are
    descriptors that came with the request.
    """
    process_control.set_process_name(b"iris-supervisor")
    wakeup = Wakeup()
    _close_all_but({0, 1, 2, control.fileno(), stdout, stderr, *wakeup.kept_fds})
    process_control.signal_on_parent_death(SPAWNER_DIED)
    process_control.become_subreaper()
    control.setblocking(True)
    request = _receive_request(control)
    if request is None or os.getppid() != spawner:
        os._exit(0)
    supervisor = _Supervisor(control, wakeup, spawner)
    supervisor.start_root(*request, stdout, stderr)
    os.close(stdout)
    os.close(stderr)
    supervisor.run()
    os._exit(0)


def _receive_request(
    control: socket.socket,
) -> tuple[list[bytes], dict[bytes, bytes], bytes] | None:
    """None if the worker is gone before all of it came. Takes not one byte more than the request."""
    data = b""
    missing = 4
    while missing:
        try:
            chunk = control.recv(missing)
        except ConnectionError:
            return None
        if not chunk:
            return None
        data += chunk
        missing = wire.request_size(data) - len(data) if len(data) >= 4 else 4 - len(data)
    return wire.decode_request(data)


class _Supervisor:
    """The loop over what the worker says, what the kernel says, and time."""

    def __init__(self, control: socket.socket, wakeup: Wakeup, spawner: int) -> None:
        self._control = control
        self._wakeup = wakeup
        self._spawner = spawner
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(wakeup.fd, select.POLLIN)
        self._received = b""
        self._root = 0
        self._root_status: int | None = None
        self._exec_report = -1
        self._failure: tuple[bytes, int] | None = None
        self._cause = wire.BY_ITSELF
        self._kill_at: float | None = None
        self._stuck_at: float | None = None
        self._childless = False
        self._base_peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def start_root(
        self, argv: list[bytes], env: dict[bytes, bytes], cwd: bytes, stdout: int, stderr: int
    ) -> None:
        """Forks the tree's first process. Its way to the program is reported over a pipe that a
        successful exec closes.
        """
        self._exec_report, report = os.pipe()
        supervisor = os.getpid()
        try:
            self._root = os.fork()
        except OSError as error:
            self._failure = (wire.STAGE_FORK, error.errno or 0)
            self._root_status = 0
            os.close(self._exec_report)
            self._exec_report = -1
        if self._root == 0 and self._failure is None:
            _become_root(supervisor, argv, env, cwd, (stdout, stderr, report))
        os.close(report)
        if self._exec_report >= 0:
            self._poll.register(self._exec_report, select.POLLIN)

    def run(self) -> None:
        """Until no child is left and the worker was told."""
        while not self._over():
            ready = {fd for fd, _ in self._poll.poll(self._patience())}
            signals = (
                self._wakeup.drain()
            )  # before reaping: a child that ends after that wakes us again
            self._reap()
            if SPAWNER_DIED in signals and os.getppid() != self._spawner:
                self._kill_now(wire.BY_SPAWNER_LOSS)
            if self._control.fileno() in ready:
                self._read_control()
            if self._exec_report in ready:
                self._read_exec_report()
            if self._killing() and not self._childless:
                self._kill()
        self._read_exec_report()
        self._say_end()

    def _over(self) -> bool:
        return self._childless and self._root_status is not None

    def _killing(self) -> bool:
        """Whether everything that is left has to go: the root has ended, or time is up."""
        return self._root_status is not None or (
            self._kill_at is not None and time.monotonic() >= self._kill_at
        )

    def _patience(self) -> int | None:
        """Milliseconds until something has to be done that no event announces."""
        if self._killing():
            return int(_KILL_ROUND_SECONDS * 1000)
        if self._kill_at is None:
            return None
        return max(0, int((self._kill_at - time.monotonic()) * 1000) + 1)

    def _read_control(self) -> None:
        try:
            chunk = self._control.recv(wire.MAX_LINE)
        except ConnectionError:
            chunk = b""
        if not chunk:  # the worker is gone, however it went
            self._poll.unregister(self._control)
            self._kill_now(wire.BY_STOP)
            return
        *lines, self._received = (self._received + chunk).split(b"\n")
        for line in lines:
            verb, milliseconds = line.split()
            if verb == wire.STOP:
                self._stop(int(milliseconds) / 1000)

    def _stop(self, grace: float) -> None:
        """The first one asks the tree to end; a later one can only shorten the grace."""
        deadline = time.monotonic() + grace
        first = self._kill_at is None
        self._kill_at = deadline if self._kill_at is None else min(self._kill_at, deadline)
        if self._root_status is None and self._cause == wire.BY_ITSELF:
            self._cause = wire.BY_STOP
        if first and grace > 0:
            # One that is stopped could not act on SIGTERM; SIGCONT makes it run.
            process_tree.signal_all((signal.SIGTERM, signal.SIGCONT))
            self._signal_root(signal.SIGTERM)

    def _kill_now(self, cause: bytes) -> None:
        self._kill_at = time.monotonic()
        if self._root_status is None and self._cause == wire.BY_ITSELF:
            self._cause = cause

    def _kill(self) -> None:
        alive = process_tree.kill_round(self._reap)
        self._signal_root(signal.SIGKILL)
        self._reap()
        if self._stuck_at is None:
            self._stuck_at = time.monotonic() + _STUCK_SECONDS
        elif time.monotonic() > self._stuck_at and not self._childless:
            self._stuck_at = math.inf
            self._say(wire.STUCK, b",".join(b"%d" % pid for pid in sorted(alive)[:20]))

    def _signal_root(self, number: int) -> None:
        """For machines where a tree cannot be walked. As a child that was not reaped, its pid is
        its own.
        """
        if self._root_status is None and not process_tree.children_of(os.getpid()):
            os.kill(self._root, number)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | _WALL)
            except ChildProcessError:
                self._childless = True
                return
            self._childless = False
            if pid == 0:
                return
            if pid == self._root:
                self._root_status = status

    def _read_exec_report(self) -> None:
        """Nothing but the end of the pipe means that the program runs."""
        if self._exec_report < 0:
            return
        words = os.read(self._exec_report, wire.MAX_LINE).split()
        self._poll.unregister(self._exec_report)
        os.close(self._exec_report)
        self._exec_report = -1
        if words:
            self._failure = (words[0], int(words[1]))
        else:
            self._say(wire.STARTED, self._root, os.getpid())

    def _say_end(self) -> None:
        if self._failure is not None:
            self._say(wire.FAILED, *self._failure)
            return
        status = self._root_status or 0
        code = b"%d" % os.WEXITSTATUS(status) if os.WIFEXITED(status) else b"-"
        number = b"%d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else b"-"
        if self._cause == wire.BY_SPAWNER_LOSS and number != b"%d" % signal.SIGKILL:
            self._cause = wire.BY_ITSELF  # it was faster than we
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        # A process that was forked from this one begins with our size; only what is more than that
        # is its own.
        peak_kib = used.ru_maxrss if used.ru_maxrss > self._base_peak_kib + 1024 else 0
        microseconds = int((used.ru_utime + used.ru_stime) * 1e6)
        self._say(wire.EXITED, code, number, self._cause, microseconds, peak_kib)

    def _say(self, *words: bytes | int) -> None:
        try:
            self._control.sendall(wire.line(*words))
        except OSError:
            self._kill_now(wire.BY_STOP)  # the worker is gone; so will the tree be


def _become_root(
    supervisor: int,
    argv: list[bytes],
    env: dict[bytes, bytes],
    cwd: bytes,
    fds: tuple[int, int, int],
) -> NoReturn:
    """In the forked child: makes it a clean process and executes the program. Never returns. `fds`:
    stdout, stderr, report.
    """
    stage = wire.STAGE_EXEC
    stdout, stderr, report = fds
    try:
        signal.set_wakeup_fd(-1)
        process_control.signal_on_parent_death(signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(_EXEC_FAILED)
        # A session of its own: a task that signals its process group (`kill 0`) means its own processes
        # and not its cluster's, and it neither hears the Ctrl-C of a terminal that the cluster was
        # started from nor can write to it. The supervisor, not the group, is what ends the tree.
        os.setsid()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        _close_all_but({0, 1, 2, report})
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        stage = wire.STAGE_CHDIR
        os.chdir(cwd)
        stage = wire.STAGE_EXEC
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(report, wire.line(stage, error.errno or 0))
    except BaseException:  # noqa: BLE001 - this process must not go on as a copy of the supervisor
        sys.excepthook(*sys.exc_info())
        os.write(report, wire.line(stage, 0))
    finally:
        os._exit(_EXEC_FAILED)


def _close_all_but(kept: set[int]) -> None:
    low = 0
    for fd in sorted(kept):
        if low < fd:  # some Pythons take the empty range (0, 0) for all there is
            os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
