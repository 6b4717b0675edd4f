"""A process tree that does not want to die: every member ignores SIGTERM, SIGINT and SIGHUP, one
is a daemon in a session of its own.

Prints `tree <pid> <pid> ...` (as the task sees them) once all are there, then waits for ever.
"""

import os
import signal
import threading

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)


def wait_for_ever() -> None:
    threading.Event().wait()


def spawn(daemon: bool, report: int) -> None:
    """Forks one child that ignores everything; a daemon forks twice and leads its own session."""
    if os.fork() != 0:
        return
    if daemon:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
    os.write(report, f"{os.getpid()}\n".encode())
    os.close(report)
    wait_for_ever()


reader, writer = os.pipe()
for daemon in (False, True, False):
    spawn(daemon, writer)
os.close(writer)
pids = os.fdopen(reader).read().split()
print("tree", os.getpid(), *pids, flush=True)
wait_for_ever()
