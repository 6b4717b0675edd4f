"""One attempt's tree as its supervisor holds it: how its first process is started, and how all of it
is signalled and ended, in a PID namespace or without.
"""

import contextlib
import os
import signal
from collections.abc import Callable

from iris.worker.runtime import process_tree, wire
from iris.worker.runtime.attempt_groups import AttemptGroups
from iris.worker.runtime.namespaces import Outside
from iris.worker.runtime.root_process import NotSpawned, RootProcess


class ContainedTree:
    """Made in the supervisor; `start` once.

    Attributes:
        pid: Of the first process, as the worker sees it; 0 until it is known.
        supervisor_pid: Likewise, of this process.
        in_namespace: Whether the tree has a PID namespace to itself.
        status: The first process's wait status once it has ended.
        failure: The stage and error number of what kept the program from being executed.
        report_fd: Readable for `read_report` while it is not known yet whether the program runs;
            -1 otherwise.
    """

    def __init__(self, groups: AttemptGroups, outside: Outside | None) -> None:
        """`outside`: where we came from, if this process is the first of a PID namespace."""
        self._groups = groups
        self._outside = outside
        self._first = 0
        self._said = b""
        self.in_namespace = outside is not None
        self.supervisor_pid = os.getpid() if outside is None else outside.pid
        self.pid = 0
        self.status: int | None = None
        self.failure: tuple[bytes, int] | None = None
        self.report_fd = -1

    def start(self, root: RootProcess) -> None:
        """Starts the first process. A forked one's way to the program is reported over a pipe that
        a successful exec closes.
        """
        # Without a namespace it has to be told to die with this process, which only it can do.
        if self._outside is not None and root.can_be_spawned:
            try:
                self._first = root.spawn()
                self.pid = self._outside.pid_of(self._first)
            except NotSpawned as error:
                self._not_started(error.stage, error.number)
        else:
            self._fork(root)

    def _fork(self, root: RootProcess) -> None:
        supervisor = os.getpid()
        self.report_fd, report = os.pipe()
        try:
            self._first = self._groups.fork()
        except OSError as error:
            self._not_started(wire.STAGE_FORK, error.errno or 0)
        if self._first == 0 and self.failure is None:
            if self._outside is not None:
                os.write(report, wire.line(wire.FORKED, self._outside.own_pid()))
            root.become(supervisor, report)
        self.pid = self._first if self._outside is None else 0
        os.close(report)

    def _not_started(self, stage: bytes, number: int) -> None:
        self.failure = (stage, number)
        self.status = 0

    def read_report(self) -> bool:
        """Takes what was reported. True once that is all: the program runs, or `failure` says why
        not.
        """
        if chunk := os.read(self.report_fd, wire.MAX_LINE):
            self._said += chunk
            return False
        os.close(self.report_fd)
        self.report_fd = -1
        for line in self._said.splitlines():
            match line.split():
                case [wire.FORKED, pid]:
                    self.pid = int(pid)
                case [stage, number]:
                    self.failure = self.failure or (stage, int(number))
        return True

    def child_ended(self, pid: int, status: int) -> None:
        """One that the supervisor has waited for."""
        if pid == self._first:
            self.status = status

    def signal_all(self, *numbers: int) -> None:
        """To each process of it, in order."""
        process_tree.signal_all(numbers)
        self._signal_first(numbers[0])

    def kill(self, reap: Callable[[], None]) -> set[int]:
        """One round; who was found alive. Call again until no child is left. `reap` waits for
        children that have ended, without blocking.
        """
        if self._outside is not None:
            # In one step for everybody in the namespace but us: nobody can fork away from it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            reap()
            return process_tree.descendants(os.getpid())
        self._groups.kill()
        alive = process_tree.kill_round(reap)
        self._signal_first(signal.SIGKILL)
        reap()
        return alive

    def _signal_first(self, number: int) -> None:
        """For machines where a tree cannot be walked. As a child that was not reaped, its pid is
        its own.
        """
        if self.status is None and not process_tree.children_of(os.getpid()):
            os.kill(self._first, number)
