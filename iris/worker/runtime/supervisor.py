"""The process above the trees of attempts, one at a time: starts their roots, ends all of them, and
says how they ended.

A fork of the spawner, never executed anew. Single-threaded. It lives until no process of a tree is
left, whatever happens to the worker or the spawner, and its exit code is 0 only if that is so. Where
the worker asks for it, and a tree left everything as it was, it stays for another of the same owner
and limits: that saves the making of a process, a namespace and control groups.
"""

import os
import select
import socket
import sys
from typing import NoReturn

from iris.worker.runtime import namespaces, process_control, wire
from iris.worker.runtime.attempt_groups import AttemptGroups
from iris.worker.runtime.cgroup_places import own_identity
from iris.worker.runtime.contained_tree import ContainedTree
from iris.worker.runtime.namespaces import Outside
from iris.worker.runtime.tree_run import Origin, TreeRun
from iris.worker.runtime.wakeup import Wakeup


def supervise(control: socket.socket, origin: Origin, *, namespace: bool) -> NoReturn:
    """Runs in the forked child; never returns. `control` is its end of the socket with the worker.
    `namespace`: this is the first process of a PID namespace.
    """
    process_control.set_process_name(b"iris-supervisor")
    wakeup = Wakeup()
    process_control.close_all_but(
        {0, 1, 2, control.fileno(), origin.lifeline, *wakeup.kept_fds, *origin.held}
    )
    identity = own_identity() if origin.containment.groups.places else ""
    outside: Outside | OSError | None = None
    if namespace:
        try:
            outside = namespaces.settle(origin.user, origin.group)
        except OSError as error:
            outside = error
    process_control.become_subreaper()
    control.setblocking(True)
    _Supervisor(control, wakeup, origin, identity, outside).serve()
    os._exit(0)


class _Supervisor:
    """The loop over requests."""

    def __init__(
        self,
        control: socket.socket,
        wakeup: Wakeup,
        origin: Origin,
        identity: str,
        outside: Outside | OSError | None,
    ) -> None:
        self._control = control
        self._wakeup = wakeup
        self._origin = origin
        self._identity = identity
        self._outside = outside
        self._mounts = _Mounts()
        self._groups: AttemptGroups | None = None

    def serve(self) -> None:
        """Until the worker wants no more, or the spawner has died."""
        while self._wait() and (received := self._receive()) is not None:
            request, outputs = received
            if isinstance(self._outside, OSError):
                number = self._outside.errno or 0
                self._control.sendall(wire.line(wire.FAILED, wire.STAGE_ISOLATE, number))
                break
            if not self._run(request, outputs, self._outside):
                break
        if self._groups is not None:
            self._groups.remove()

    def _run(self, request: wire.Request, outputs: list[int], outside: Outside | None) -> bool:
        """One tree, to its end. Whether another may follow."""
        if self._groups is None:
            self._groups = AttemptGroups(
                self._origin.containment.groups,
                self._identity,
                request.limits,
                to_kill=outside is None,
            )
        tree = ContainedTree(self._groups, outside)
        run = TreeRun(self._control, self._wakeup, self._origin, request, tree, self._groups)
        run.start_root(*outputs)
        for fd in outputs:
            os.close(fd)
        run.run()
        # No process of it is left: the last was waited for. A mount, which it may have had the right
        # to make, the next would see.
        stays = request.stay and not run.is_orphaned and not self._mounts.changed()
        is_ready = stays and self._groups.renew()
        run.say_end(is_ready=is_ready)
        if run.is_orphaned:
            self._groups.remove()
            self._origin.containment.groups.remove()
        return is_ready or (stays and self._without_groups())

    def _without_groups(self) -> bool:
        """Ready for another tree, with groups made anew. False if the worker is gone."""
        assert self._groups is not None
        self._groups.remove()
        self._groups = None
        try:
            self._control.sendall(wire.line(wire.READY))
        except OSError:
            return False
        return True

    def _wait(self) -> bool:
        """For the next request, or the end of the worker. False once the spawner has died."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._origin.lifeline, 0)
        return self._origin.lifeline not in {fd for fd, _ in poll.poll()}

    def _receive(self) -> tuple[wire.Request, list[int]] | None:
        """None if the worker is gone before all of it came. Takes not one byte more than the
        request.
        """
        data = b""
        outputs: list[int] = []
        missing = 4
        while missing:
            try:
                chunk, fds = wire.receive(self._control, missing, wire.FDS_PER_REQUEST)
            except ConnectionError:
                return None
            if not chunk:
                return None
            outputs += fds
            data += chunk
            missing = wire.request_size(data) - len(data) if len(data) >= 4 else 4 - len(data)
        request = wire.decode_request(data)
        if request is None or len(outputs) != wire.FDS_PER_REQUEST:
            return None
        return request, outputs


class _Mounts:
    """What is mounted for this process, watched from now on. See proc_pid_mounts(5) for how."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._fd = -1
        if sys.platform == "linux":
            self._fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
            self._poll.register(self._fd, select.POLLPRI)

    def changed(self) -> bool:
        """Whether anything was mounted or unmounted."""
        return any(events & (select.POLLPRI | select.POLLERR) for _, events in self._poll.poll(0))
