"""The few calls to the kernel that Python has no function for."""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _prctl(option: int, argument: int | bytes) -> bool:
    if _LIBC is None:
        return False
    value = ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_ulong(argument)
    return bool(_LIBC.prctl(option, value, 0, 0, 0) == 0)


def signal_on_parent_death(number: int) -> bool:
    """Has the kernel send this process that signal when the thread that made it ends. False where
    that cannot be had.

    The parent may be dead already: compare `os.getppid()` afterwards.
    """
    return _prctl(_PR_SET_PDEATHSIG, number)


def become_subreaper() -> bool:
    """Orphans among this process's descendants become its children, not init's. False where that
    cannot be had.
    """
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_process_name(name: bytes) -> None:
    """What `ps` and `top` call this process; at most 15 bytes."""
    _prctl(_PR_SET_NAME, name)


def close_all_but(kept: set[int]) -> None:
    """Every other descriptor."""
    low = 0
    for fd in sorted(kept):
        if low < fd:  # some Pythons take the empty range (0, 0) for all there is
            os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
