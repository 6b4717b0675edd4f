"""The process that forks supervisors, and ends what a killed one leaves. Started by
`spawner_client`; see the package's docstring.

Usage: python -I -S -B -c <import and call main> ROOT FD TIERS [HELD], where FD is its end of a
socket pair with the worker, TIERS what may be used to contain trees, and HELD a descriptor that it
and its supervisors keep open as long as they live.
"""

import contextlib
import errno
import gc
import os
import select
import socket
import sys
from typing import NoReturn

from iris.worker.runtime import namespaces, process_control, process_tree, wire
from iris.worker.runtime.containment import Containment
from iris.worker.runtime.supervisor import supervise
from iris.worker.runtime.tree_run import Origin
from iris.worker.runtime.wakeup import Wakeup, prepare_signals

_KILL_ROUND_MILLISECONDS = 20


def main() -> NoReturn:
    """Serves until the worker's end of the socket is closed and no supervisor is left."""
    process_control.set_process_name(b"iris-spawner")
    # Nothing here makes cycles, and a collection would touch, so copy, the pages that supervisors
    # share.
    gc.disable()
    # Loads now what `execvpe` would load in every child.
    os.get_exec_path({})
    worker = socket.socket(fileno=int(sys.argv[2]))
    prepare_signals()
    wakeup = Wakeup()
    process_control.become_subreaper()
    containment = Containment.find(frozenset(sys.argv[3].split(",")))
    worker.sendall(wire.line(wire.READY, containment.isolation.encode()))
    gc.freeze()
    # Nobody ever writes to it; it is the end of it that supervisors wait for.
    lifeline, _ = os.pipe()
    held = frozenset(map(int, sys.argv[4:]))
    for fd in held:
        os.set_inheritable(fd, False)  # by programs; forked supervisors have it all the same
    origin = Origin(lifeline, held, containment, os.geteuid(), os.getegid())
    _Spawner(worker, wakeup, origin).run()
    containment.groups.remove()
    os._exit(0)


class _Spawner:
    """The loop over requests and ends of children."""

    def __init__(self, worker: socket.socket, wakeup: Wakeup, origin: Origin) -> None:
        self._origin = origin
        self._worker = worker
        self._wakeup = wakeup
        # Supervisors and our copies of their control sockets. Kept open so that the worker sees the
        # end of a killed supervisor's only after what that left has been killed.
        self._controls: dict[int, socket.socket] = {}
        self._lost: list[tuple[socket.socket, int, int]] = []
        self._serving = True

    def run(self) -> None:
        """Until the worker is gone and so are all supervisors."""
        poll = select.poll()
        poll.register(self._worker, select.POLLIN)
        poll.register(self._wakeup.fd, select.POLLIN)
        while self._serving or self._controls or self._lost:
            ready = {fd for fd, _ in poll.poll(_KILL_ROUND_MILLISECONDS if self._lost else None)}
            self._wakeup.drain()
            self._reap()
            if self._lost:
                self._end_orphans()
            if self._serving and self._worker.fileno() in ready and not self._serve_one():
                self._serving = False
                poll.unregister(self._worker)

    def _serve_one(self) -> bool:
        """Takes one request and forks, or answers. False once the worker is gone."""
        try:
            data, fds = wire.receive(self._worker, 1, most_fds=1)
        except ConnectionError:
            return False
        if data == wire.PING and fds:
            self._answer(socket.socket(fileno=fds[0]))
        elif fds:
            self._fork(socket.socket(fileno=fds[0]))
        return bool(data)

    def _answer(self, asking: socket.socket) -> None:
        with asking, contextlib.suppress(OSError):  # it may not wait any more
            asking.send(wire.PING)

    def _fork(self, control: socket.socket) -> None:
        namespace = self._origin.containment.namespace
        try:
            try:
                pid = namespaces.fork() if namespace else os.fork()
            except OSError as error:
                if not namespace or error.errno in (errno.EAGAIN, errno.ENOMEM):
                    raise
                # There may be only so many namespaces: then it is done without.
                namespace, pid = False, os.fork()
        except OSError as error:
            control.sendall(wire.line(wire.FAILED, wire.STAGE_FORK, error.errno or 0))
            control.close()
            return
        if pid == 0:
            try:
                supervise(control, self._origin, namespace=namespace)
            except BaseException:  # noqa: BLE001 - the exit code says it, this says what it was
                sys.excepthook(*sys.exc_info())
            os._exit(1)
        self._controls[pid] = control

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            control = self._controls.pop(pid, None)
            if control is None:
                continue  # an orphan that was killed
            if status == 0:
                control.close()
            else:
                self._lost.append((control, pid, status))

    def _end_orphans(self) -> None:
        """A supervisor that was killed left its tree to us, the next subreaper above."""
        if process_tree.kill_round(self._reap, without=self._controls.keys()):
            self._reap()
            return
        for control, pid, status in self._lost:
            self._origin.containment.groups.discard(pid)
            with contextlib.suppress(OSError):  # the worker may not want to know any more
                control.sendall(wire.line(wire.LOST, os.waitstatus_to_exitcode(status)))
            control.close()
        self._lost.clear()
