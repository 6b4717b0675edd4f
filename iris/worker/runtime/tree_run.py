"""One attempt's tree from its request to its end, as its supervisor sees it."""

import contextlib
import math
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import NamedTuple

from iris.worker.runtime import namespaces, readings, wire
from iris.worker.runtime.attempt_groups import AttemptGroups
from iris.worker.runtime.contained_tree import ContainedTree
from iris.worker.runtime.containment import Containment
from iris.worker.runtime.limits import DISK, PROCESSES, WALL, Excess
from iris.worker.runtime.oom_watch import OomWatch
from iris.worker.runtime.root_process import RootProcess, processes_with_spare
from iris.worker.runtime.wakeup import Wakeup
from iris.worker.runtime.watchdog import Watchdog

# Between kill rounds when no child's end wakes us first; then a tree that still does not end is
# reported.
_KILL_ROUND_SECONDS = 0.02
_STUCK_SECONDS = 10.0
# The worker is told of the folder's size when it has changed by that much.
_DISK_STEP_BYTES = 64 << 10
# Every kind of child, also one cloned without a signal for its parent.
_WALL = 0x40000000 if sys.platform == "linux" else 0


class Origin(NamedTuple):
    """What a supervisor has from its spawner.

    Attributes:
        lifeline: A descriptor that hangs up when the spawner dies.
        held: Those to be kept open to the end.
        user: Who we are, and `group`, as the spawner sees it.
    """

    lifeline: int
    held: frozenset[int]
    containment: Containment
    user: int
    group: int


class TreeRun:
    """The loop over what the worker says, what the kernel says, and time, for one request."""

    def __init__(
        self,
        control: socket.socket,
        wakeup: Wakeup,
        origin: Origin,
        request: wire.Request,
        tree: ContainedTree,
        groups: AttemptGroups,
    ) -> None:
        self._control = control
        self._wakeup = wakeup
        self._origin = origin
        self._is_orphaned = False
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(wakeup.fd, select.POLLIN)
        self._poll.register(origin.lifeline, 0)
        self._received = b""
        self._request = request
        self._groups = groups
        self._tree = tree
        self._watchdog = Watchdog(request.limits, groups.enforced)
        self._oom = OomWatch(groups)
        self._excess: Excess | None = None
        self._crowd: Excess | None = None
        self._said_disk_bytes = 0
        self._cause = wire.BY_ITSELF
        self._is_asked = False
        self._kill_at: float | None = None
        self._stuck_at: float | None = None
        self._childless = False
        self._base_peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # Of earlier trees of this process, by what the worker reads of it.
        self._base_ticks = readings.childrens_cpu_ticks()
        self._cpu_seconds = 0.0
        self._peak_kib = 0

    @property
    def is_orphaned(self) -> bool:
        """Whether the spawner has died."""
        return self._is_orphaned

    def start_root(self, stdout: int, stderr: int) -> None:
        """Starts the tree's first process."""
        limits = self._request.limits
        if self._tree.in_namespace and limits.processes and PROCESSES not in self._groups.enforced:
            # A tree that explodes leaves the watchdog no turn.
            namespaces.bound_processes(processes_with_spare(limits))
        in_user_namespace = self._tree.in_namespace and self._origin.user != 0
        root = RootProcess(self._request, self._groups, stdout, stderr, in_user_namespace)
        self._tree.start(root)
        if self._tree.report_fd >= 0:
            self._poll.register(self._tree.report_fd, select.POLLIN)
        elif self._tree.failure is None:
            self._on_program()
        if self._groups.oom_fd >= 0:
            self._poll.register(self._groups.oom_fd, self._groups.oom_events)

    def run(self) -> None:
        """Until no child is left. The worker is told by `say_end`."""
        if self._tree.status is not None:
            self._reap()  # it could not be started, so nothing will wake us
        while not self._over():
            ready = {fd for fd, _ in self._poll.poll(self._patience())}
            self._wakeup.drain()  # before reaping: a child that ends after that wakes us again
            self._reap()
            if self._origin.lifeline in ready:
                self._poll.unregister(self._origin.lifeline)
                self._is_orphaned = True
                self._kill_now(wire.BY_SPAWNER_LOSS)
            if self._control.fileno() in ready:
                self._read_control()
            if self._tree.report_fd in ready:
                self._read_report()
            if self._groups.oom_fd in ready:
                self._oom.on_news(time.monotonic())
            self._look()
            if self._killing() and not self._childless:
                self._kill()
        while self._tree.report_fd >= 0:
            self._read_report()
        self._look_back()
        if not self._request.stay:
            self._groups.remove()

    def _over(self) -> bool:
        return self._childless and self._tree.status is not None

    def _killing(self) -> bool:
        """Whether everything that is left has to go: the root has ended, or time is up."""
        return self._tree.status is not None or (
            self._kill_at is not None and time.monotonic() >= self._kill_at
        )

    def _patience(self) -> int | None:
        """Milliseconds until something has to be done that no event announces."""
        if self._killing():
            return int(_KILL_ROUND_SECONDS * 1000)
        times = (self._kill_at, self._watchdog.due(), self._oom.due())
        first = min((one for one in times if one is not None), default=None)
        return None if first is None else max(0, int((first - time.monotonic()) * 1000) + 1)

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

    def _stop(self, grace: float, cause: bytes = wire.BY_STOP) -> None:
        """The first one asks the tree to end; a later one can only shorten the grace."""
        deadline = time.monotonic() + grace
        first = self._kill_at is None
        self._kill_at = deadline if self._kill_at is None else min(self._kill_at, deadline)
        if self._tree.status is None and self._cause == wire.BY_ITSELF:
            self._cause = cause
        if first and grace > 0:
            self._is_asked = True
            self._ask_to_end()

    def _ask_to_end(self) -> None:
        """Once its program runs: what becomes it is a copy of us until then, and heeds no signal."""
        if self._is_asked and self._tree.report_fd < 0:
            self._watchdog.release()
            # One that is stopped could not act on SIGTERM; SIGCONT makes it run.
            self._tree.signal_all(signal.SIGTERM, signal.SIGCONT)

    def _kill_now(self, cause: bytes) -> None:
        self._kill_at = time.monotonic()
        if self._tree.status is None and self._cause == wire.BY_ITSELF:
            self._cause = cause

    def _look(self) -> None:
        """After what exceeds its limits."""
        if self._tree.status is not None:
            return
        now = time.monotonic()
        excess = self._oom.look(now) or self._watchdog.look(now)
        if abs(self._watchdog.disk_bytes - self._said_disk_bytes) >= _DISK_STEP_BYTES:
            self._said_disk_bytes = self._watchdog.disk_bytes
            self._say(wire.DISK, self._said_disk_bytes)
        if excess is None:
            return
        self._excess = self._excess or excess
        if excess.what == WALL:
            self._stop(self._request.limits.grace_ms / 1000, wire.BY_LIMIT)
        else:
            self._kill_now(wire.BY_LIMIT)

    def _look_back(self) -> None:
        """Once all is over: whether it ended as it did because of a limit that the kernel held."""
        status = self._tree.status or 0
        if self._cause != wire.BY_ITSELF or self._tree.failure is not None:
            return
        excess = self._oom.final_look()
        if excess is None and status:
            excess = self._crowd
        if excess is None and status:
            limits = self._request.limits
            excess = self._watchdog.final_disk_excess()
            if excess is None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXFSZ:
                excess = Excess(DISK, limits.disk_bytes)
            if excess is None and self._groups.refused_processes():
                excess = Excess(PROCESSES, limits.processes)
        if excess is not None:
            self._excess, self._cause = excess, wire.BY_LIMIT

    def _kill(self) -> None:
        alive = self._tree.kill(self._reap)
        if self._stuck_at is None:
            self._stuck_at = time.monotonic() + _STUCK_SECONDS
        elif time.monotonic() > self._stuck_at and not self._childless:
            self._stuck_at = math.inf
            self._say(wire.STUCK, b",".join(b"%d" % pid for pid in sorted(alive)[:20]))

    def _reap(self) -> None:
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG | _WALL)
            except ChildProcessError:
                self._childless = True
                return
            self._childless = False
            if pid == 0:
                return
            self._cpu_seconds += used.ru_utime + used.ru_stime
            self._peak_kib = max(self._peak_kib, used.ru_maxrss)
            had_ended = self._tree.status is not None
            self._tree.child_ended(pid, status)
            if self._tree.status and not had_ended:
                # Whoever was refused one more process may have failed before the watchdog's turn.
                self._crowd = self._watchdog.too_many()

    def _read_report(self) -> None:
        """Nothing but the end of the report means that the program runs."""
        fd = self._tree.report_fd
        if not self._tree.read_report():
            return
        self._poll.unregister(fd)
        if self._tree.failure is None:
            self._on_program()

    def _on_program(self) -> None:
        now = time.monotonic()
        self._watchdog.begin(os.getpid(), now)
        self._oom.begin(now)
        group = self._groups.memory_folder
        self._say(
            wire.STARTED,
            self._tree.pid,
            self._tree.supervisor_pid,
            os.fsencode(group).hex().encode() if group else wire.NONE,
            self._base_ticks,
        )
        self._ask_to_end()

    def say_end(self, *, is_ready: bool) -> None:
        """How it ended, and in the same breath, if so, that another request may come: the worker
        has one thing less to be woken by.
        """
        end = self._end() + (wire.line(wire.READY) if is_ready else b"")
        with contextlib.suppress(OSError):  # the worker is gone
            self._control.sendall(end)

    def _end(self) -> bytes:
        if self._tree.failure is not None:
            return wire.line(wire.FAILED, *self._tree.failure)
        status = self._tree.status or 0
        code = b"%d" % os.WEXITSTATUS(status) if os.WIFEXITED(status) else b"-"
        number = b"%d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else b"-"
        if self._cause == wire.BY_SPAWNER_LOSS and number != b"%d" % signal.SIGKILL:
            self._cause = wire.BY_ITSELF  # it was faster than we
        excess = self._excess if self._cause == wire.BY_LIMIT else None
        return wire.line(
            wire.EXITED,
            code,
            number,
            self._cause,
            *self._used(),
            excess.what.encode() if excess else wire.NONE,
            excess.amount if excess else 0,
        )

    def _used(self) -> tuple[int, int]:
        """Microseconds of CPU, and the most memory that is known, in KiB."""
        # A process that was started by this one begins with our size; only what is more than that
        # is its own.
        peak_kib = self._peak_kib if self._peak_kib > self._base_peak_kib + 1024 else 0
        microseconds = int(self._cpu_seconds * 1e6)
        return microseconds, max(peak_kib, self._watchdog.peak_memory_bytes // 1024)

    def _say(self, *words: bytes | int) -> None:
        try:
            self._control.sendall(wire.line(*words))
        except OSError:
            self._kill_now(wire.BY_STOP)  # the worker is gone; so will the tree be
