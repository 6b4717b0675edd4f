"""Signals as something that `poll` waits for, beside sockets."""

import contextlib
import os
import signal

# Bytes, one for each signal.
_AT_ONCE = 512


class Wakeup:
    """A file descriptor that is readable once a signal came, above all that of a child's end.

    One per process; making one in a forked child replaces the parent's there.
    """

    def __init__(self) -> None:
        self.fd, write_fd = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(write_fd, False)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        self.kept_fds = (self.fd, write_fd)

    def drain(self) -> None:
        """Not readable any more, until the next signal."""
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self.fd, _AT_ONCE)) == _AT_ONCE:
                continue


def prepare_signals() -> None:
    """Once per spawner; supervisors inherit it, and the tasks' programs are to find everything at
    its default.

    What is handled becomes default when a program is executed, what is ignored or blocked stays so.
    So nothing is ignored here, be it by Python (SIGPIPE) or by whoever started the worker, but
    handled by doing nothing. That also keeps these processes alive when a terminal sends SIGINT or
    SIGHUP to its whole foreground group, which they share with the worker; they end when sockets
    close.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, _take_note)
    for number in (
        signal.SIGCHLD,
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
    ):
        signal.signal(number, _take_note)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _take_note(number: int, frame: object) -> None:
    """Without a handler the signal would not reach the wakeup descriptor."""
