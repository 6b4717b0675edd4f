"""Finding and ending every process below this one: containment by subreaper, stop and kill.

This is what works everywhere without privileges. Its weakness is that a tree is only known by
walking it, while it changes. So, to end one: stop everything that is found until nothing new
appears (a stopped process cannot fork), kill all of it, reap, and do it again until there is no
child left. As this process is the subreaper, whoever was missed is its child by then. And who forks
and exits in one breath, gone whenever a walk comes by, is chased as a child, which takes
microseconds.
"""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable

from iris.worker.runtime import process_control

# Stop rounds before killing what was found so far: a tree that forks faster than it can be walked
# is thinned out instead.
_MAX_STOP_ROUNDS = 50
# Likewise for generations of one that forks and exits.
_MAX_CHASES = 1000


def children_of(pid: int) -> list[int]:
    """The direct children of a process; none if it is gone.

    The kernel may leave some out while others end: ask again until nothing new appears.
    """
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        found += map(int, read_file(f"/proc/{pid}/task/{thread}/children").split())
    return found


def descendants(pid: int, without: Collection[int] = (), at_most: int = sys.maxsize) -> set[int]:
    """All processes below `pid`; `without` names children of it whose whole subtrees are left out.
    Looks no further once there are more than `at_most`.
    """
    found: set[int] = set()
    level = [child for child in children_of(pid) if child not in without]
    while level and len(found) <= at_most:
        found.update(level)
        level = [child for parent in level for child in children_of(parent) if child not in found]
    return found


def signal_all(numbers: Iterable[int]) -> None:
    """Sends the signals, in order, to each process below this one."""
    if os.getpid() == 1:  # of a PID namespace: in one step for everybody but us
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, number)
        return
    tree = descendants(os.getpid())
    for number in numbers:
        _send(number, tree, tree)


def kill_round(reap: Callable[[], None], without: Collection[int] = ()) -> set[int]:
    """Stops, then kills all processes below this one.

    Returns who was found; call again until there is no child left. `reap` waits for children that
    have ended, without blocking.
    """
    # Those first: a flood of forks leaves so many dead children that the walk below would only find
    # dead ones, and never catch up.
    chased = _chase(reap, without)
    stopped: set[int] = set()
    for _ in range(_MAX_STOP_ROUNDS):
        reap()
        new = descendants(os.getpid(), without) - stopped
        if not new:
            break
        stopped |= new
        _send(signal.SIGSTOP, new, stopped)
    _send(signal.SIGKILL, stopped, stopped)
    return chased | stopped | _chase(reap, without)


def _chase(reap: Callable[[], None], without: Collection[int]) -> set[int]:
    """Kills children as fast as it sees them, until it sees no new one. They are not reaped while
    they are signalled, so their pids are theirs and need no check.
    """
    killed: set[int] = set()
    for _ in range(_MAX_CHASES):
        reap()
        new = [pid for pid in _own_children() if pid not in killed and pid not in without]
        if not new:
            break
        for pid in new:
            os.kill(pid, signal.SIGKILL)
        killed.update(new)
    return killed


def _own_children() -> list[int]:
    """Of this process, which has one thread."""
    own = os.getpid()
    return [int(pid) for pid in read_file(f"/proc/{own}/task/{own}/children").split()]


def isolation() -> str:
    """How trees are contained by this module on this machine, in one line, found out by trying."""
    if not process_control.become_subreaper():
        return f"first process of the tree only ({sys.platform} has no child subreaper)"
    probe = os.fork()
    if probe == 0:
        process_control.signal_on_parent_death(signal.SIGKILL)
        signal.pause()
    seen = probe in children_of(os.getpid())
    os.kill(probe, signal.SIGKILL)
    os.waitpid(probe, 0)
    if not seen:
        return "first process of the tree only (/proc does not list children)"
    return "process tree (subreaper, stop and kill)"


def _send(number: int, pids: Iterable[int], tree: Collection[int]) -> None:
    for pid in pids:
        try:
            _send_checked(number, pid, tree)
        except (ProcessLookupError, PermissionError):
            continue  # it has ended, or is another user's by now; the latter shows as a tree that does not end


def _send_checked(number: int, pid: int, tree: Collection[int]) -> None:
    """First the pidfd, then the check that the pid still is of the tree, then the signal: a pid
    used anew is never hit.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        if error.errno == errno.ESRCH:
            return
        os.kill(pid, number)  # a kernel without pidfds
        return
    try:
        parent = _parent_of(pid)
        if parent == os.getpid() or parent in tree:
            signal.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)


def _parent_of(pid: int) -> int:
    """0 for a process that is gone. The name in `stat` may have any characters, hence the last
    parenthesis.
    """
    fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def read_file(path: str) -> bytes:
    """The whole of a small file of /proc; empty if the process is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        content = b""
        while chunk := os.read(fd, 65536):
            content += chunk
        return content
    except OSError:
        return b""
    finally:
        os.close(fd)
