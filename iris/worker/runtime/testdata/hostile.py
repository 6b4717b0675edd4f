"""Process trees that do not want to die, for tests. Each ends by itself after MAX_SECONDS.

Usage: hostile.py BEHAVIOUR. All but `hoppers` print the pids of their tree once all are there.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

MAX_SECONDS = 60
MAX_HOPS = 2000
DEADLINE = time.monotonic() + MAX_SECONDS


def wait_for_ever() -> None:
    """Until killed."""
    while time.monotonic() < DEADLINE:
        time.sleep(1)
    os._exit(99)


def ignore_signals() -> None:
    """All that can be ignored and would end a process."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def announce(report: int) -> None:
    """Tells the root that this process is there, then waits."""
    os.write(report, b"%d\n" % os.getpid())
    os.close(report)
    wait_for_ever()


def spawn_child(report: int) -> None:
    """A plain child."""
    if os.fork() == 0:
        announce(report)


def spawn_daemon(report: int) -> None:
    """A double fork with a session of its own, as daemons do it."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        announce(report)


def gather(count: int, reader: int) -> list[int]:
    """The pids of those that announced themselves."""
    said = b""
    while said.count(b"\n") < count:
        said += os.read(reader, 4096)
    return [int(pid) for pid in said.split()]


def stubborn() -> None:
    """Ignores signals, and so do a child, a daemon, and a child of each."""
    ignore_signals()
    print_tree([spawn_child, spawn_daemon, spawn_daemon, spawn_child])
    wait_for_ever()


def orphans() -> None:
    """Ends at once and leaves a child and a daemon behind."""
    ignore_signals()
    print_tree([spawn_child, spawn_daemon])


def print_tree(spawners: list[Callable[[int], None]]) -> None:
    """Starts them and prints who is there."""
    reader, writer = os.pipe()
    for spawn in spawners:
        spawn(writer)
    pids = gather(len(spawners), reader)
    print(*pids, os.getpid(), flush=True)


def hoppers() -> None:
    """Four that fork and exit, over and over: whoever is found is gone the next moment.

    Each leaves a zombie behind at every hop until somebody reaps it. So the hops are counted: if nobody
    did, the machine's other programs would soon find no pid left.
    """
    ignore_signals()
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
            for _ in range(MAX_HOPS):
                if os.fork() != 0:
                    os._exit(0)
            wait_for_ever()
    print("hopping", flush=True)
    wait_for_ever()


def reaping() -> None:
    """Makes 50 orphans that end at once; then waits. They are the supervisor's to reap."""
    for _ in range(50):
        if os.fork() == 0:
            os.fork()
            os._exit(0)
        os.wait()
    print(os.getpid(), flush=True)
    wait_for_ever()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
