"""A PID namespace for an attempt's tree, with its supervisor as the first process in it: when that
ends, however it ends, the kernel ends everybody else there, in one step.

An ordinary user needs a user namespace around it, in which a task is who it was, but cannot become
anybody else (sudo). The superuser's tasks keep all their rights: no user namespace for them.
"""

import ctypes
import os
import signal
from itertools import takewhile
from typing import NamedTuple

from iris.worker.runtime import process_control
from iris.worker.runtime.raw_fork import LIBC, fork_with

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
# From this kernel on, pid_max is each PID namespace's own.
_BOUNDS_NAMESPACES = (6, 14)
_RESERVED_PIDS = 300
_MOST_PIDS = 1 << 22
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 2, 4, 8, 1 << 14, 1 << 19


class Outside(NamedTuple):
    """What a process in a new PID namespace knows of the one that it came from.

    Attributes:
        pid: Its own there.
        proc: A descriptor of the /proc there.
    """

    pid: int
    proc: int

    def own_pid(self) -> int:
        """Of the calling process, there."""
        return int(os.readlink("self", dir_fd=self.proc))

    def pid_of(self, child: int) -> int:
        """What a child of this process, by its pid here, is called there; 0 if it cannot be told."""
        try:
            pidfd = os.pidfd_open(child)
            try:
                # See pidfd_open(2): pids in fdinfo are of the namespace of the /proc that is read.
                info = os.open(f"self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
                try:
                    text = os.read(info, 4096)
                finally:
                    os.close(info)
            finally:
                os.close(pidfd)
        except OSError:
            return 0
        found = (line.split() for line in text.splitlines())
        return next((int(words[1]) for words in found if words[0] == b"Pid:"), 0)


def fork() -> int:
    """As os.fork, but the child is the first process of a new PID namespace, with a mount namespace
    and, unless we are the superuser, a user namespace; it has to `settle`.

    Raises OSError where that cannot be had. See raw_fork for when it may be called.
    """
    return fork_with(_CLONE_NEWPID | _CLONE_NEWNS | (_CLONE_NEWUSER if os.geteuid() else 0))


def settle(user: int, group: int) -> Outside:
    """In the child: makes /proc show the new namespace, and this process who it was, by the ids that
    it had before. Raises OSError.
    """
    if user:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    outside = Outside(int(os.readlink("self", dir_fd=proc)), proc)
    # What is mounted outside later on is still to be seen here, but not the other way round.
    _call("mount", b"none", b"/", None, _MS_REC | _MS_SLAVE, None)
    _call("mount", b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)
    return outside


def bound_processes(most: int) -> bool:
    """In the first process of a new PID namespace: no more than about `most` processes and threads
    can be in it from now on (before its pids have been gone through once, up to 300 more: the
    kernel does not use those again). False where kernels cannot: there is one number for all of
    the machine, and not ours to change.

    See pid_max in https://docs.kernel.org/admin-guide/sysctl/kernel.html and pid_namespaces(7).
    """
    if os.getpid() != 1 or kernel_version() < _BOUNDS_NAMESPACES:
        return False
    try:
        _write("/proc/sys/kernel/pid_max", str(min(_RESERVED_PIDS + most + 1, _MOST_PIDS)))
    except OSError:
        return False
    return True


def kernel_version() -> tuple[int, int]:
    """Of the machine's kernel: (6, 14)."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(takewhile(str.isdigit, minor)))


def probe() -> str:
    """Why it cannot be had here, found by doing all of it; empty if it can."""
    user, group = os.geteuid(), os.getegid()
    try:
        child = fork()
    except OSError as error:
        return f"clone: {error.strerror}"
    if child == 0:
        os._exit(_try(user, group))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (
        "" if code == 0 else f"the first process in it: {os.strerror(code) if code > 0 else code}"
    )


def _try(user: int, group: int) -> int:
    """In the child of the probe."""
    try:
        process_control.signal_on_parent_death(signal.SIGKILL)
        settle(user, group)
        # One more process, as the root of a task will be: the second here, and /proc knows it so.
        root = os.fork()
        if root == 0:
            os._exit(0 if os.readlink("/proc/self") == "2" and os.getuid() == user else 1)
        return abs(os.waitstatus_to_exitcode(os.waitpid(root, 0)[1]))
    except OSError as error:
        return error.errno or 1


def _call(name: str, *arguments: int | bytes | None) -> None:
    assert LIBC is not None
    converted = [
        ctypes.c_ulong(value) if isinstance(value, int) else ctypes.c_char_p(value)
        for value in arguments
    ]
    if getattr(LIBC, name)(*converted) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
