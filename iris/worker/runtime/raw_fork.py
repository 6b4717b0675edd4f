"""Forks that os.fork cannot do, by the kernel's own calls.

The process must have one thread: what Python does to its other threads' state in a forked child is
not done here.
"""

import ctypes
import errno
import os
import signal
import sys

_SYS_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220}
_SYS_CLONE3 = 435
_CLONE_INTO_CGROUP = 0x200000000

# It keeps the interpreter's lock over a call, so that a forked child has it too.
LIBC = ctypes.PyDLL(None, use_errno=True) if sys.platform == "linux" else None


class _CloneArguments(ctypes.Structure):
    """See clone(2)."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size",
            "tls", "set_tid", "set_tid_size", "cgroup",
        )
    ]  # fmt: skip


def fork_with(flags: int) -> int:
    """As os.fork, with flags of clone(2). Raises OSError."""
    number = _SYS_CLONE.get(os.uname().machine)
    if LIBC is None or number is None:
        raise OSError(errno.ENOSYS, "this system's clone is not known")
    zero = ctypes.c_ulong(0)
    return _checked(
        LIBC.syscall(
            ctypes.c_long(number), ctypes.c_ulong(flags | signal.SIGCHLD), zero, zero, zero, zero
        )
    )


def fork_into(group: int) -> int:
    """As os.fork, with the child in a control group (v2), by a descriptor of its folder.

    Without the wait that moving a process there takes. Raises OSError, ENOSYS before Linux 5.7.
    """
    if LIBC is None:
        raise OSError(errno.ENOSYS, "only Linux has it")
    arguments = _CloneArguments(flags=_CLONE_INTO_CGROUP, exit_signal=signal.SIGCHLD, cgroup=group)
    size = ctypes.c_size_t(ctypes.sizeof(arguments))
    return _checked(LIBC.syscall(ctypes.c_long(_SYS_CLONE3), ctypes.byref(arguments), size))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
