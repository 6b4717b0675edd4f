"""What a stretch of a program leaves behind: processes, ports, sockets, threads and files, each
with its name.

    with LeakCheck([state_dir]):
        ...  # fails at the end if anything is left that was not there before

Or, where an assertion at the end of a block does not fit: `check = LeakCheck()`, and later
`check.leftovers()`.
"""

import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from iris.host.processes import ProcessIdentity, command_line, descendants

_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.02
_MAX_COMMAND = 120
# A running loop's own pool: asyncio keeps its threads for the next call, and ends them with the
# loop.
_POOL_THREADS = "asyncio_"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What there is at one moment, by name.

    Attributes:
        processes: All below this one.
        ports: Where this process or one below it listens, `host:port`.
        sockets: Unix sockets that these have bound to a path.
        threads: Of this process.
        files: Files and folders below the folders that were asked about.
    """

    processes: frozenset[ProcessIdentity]
    ports: frozenset[str]
    sockets: frozenset[str]
    threads: frozenset[tuple[int, str]]
    files: frozenset[Path]

    @classmethod
    def take(cls, folders: Iterable[Path] = ()) -> "Snapshot":
        """Now, of this process."""
        own = ProcessIdentity.current()
        processes = descendants(own)
        connections = [
            connection for process in (own, *processes) for connection in _connections(process)
        ]
        return cls(
            processes=frozenset(processes),
            ports=frozenset(
                f"{connection.laddr[0]}:{connection.laddr[1]}"
                for connection in connections
                if connection.status == psutil.CONN_LISTEN
            ),
            sockets=frozenset(
                connection.laddr
                for connection in connections
                if isinstance(connection.laddr, str) and connection.laddr
            ),
            threads=frozenset(
                (thread.ident or 0, thread.name)
                for thread in threading.enumerate()
                if not thread.name.startswith(_POOL_THREADS)
            ),
            files=frozenset(path for folder in folders for path in _below(folder)),
        )

    def added_since(self, before: "Snapshot") -> list[str]:
        """What is here but was not in `before`, for people."""
        return [
            *(
                f"process {process.pid} ({command_line(process)[:_MAX_COMMAND]})"
                for process in sorted(self.processes - before.processes)
            ),
            *(f"port {port}" for port in sorted(self.ports - before.ports)),
            *(f"socket {path}" for path in sorted(self.sockets - before.sockets)),
            *(f"thread {name}" for _, name in sorted(self.threads - before.threads)),
            *(f"file {path}" for path in sorted(self.files - before.files)),
        ]


class LeakCheck:
    """Compares what there is now with what there was when it was made.

    On Linux this process becomes the reaper of its descendants, and stays it: a daemon that slipped
    away from its parent is then still below us, and is seen.

    Args:
        folders: Nothing new may be left below them.
        expected: Whether something that is left, as `leftovers` words it, is meant to stay.
    """

    def __init__(
        self, folders: Iterable[Path] = (), *, expected: Callable[[str], bool] = lambda _: False
    ) -> None:
        _become_subreaper()
        self._folders = tuple(folders)
        self._expected = expected
        self._before = Snapshot.take(self._folders)

    def leftovers(self, timeout: float = 5.0) -> list[str]:
        """What is left, once nothing is or that many seconds have passed: what is about to end may
        do so.
        """
        until = time.monotonic() + timeout
        while True:
            # A thread that only garbage keeps, such as gRPC's for a closed channel, is no leak.
            gc.collect()
            added = Snapshot.take(self._folders).added_since(self._before)
            left = [what for what in added if not self._expected(what)]
            if not left or time.monotonic() >= until:
                return left
            time.sleep(_POLL_SECONDS)

    def assert_no_leaks(self, timeout: float = 5.0) -> None:
        """Raises AssertionError naming what is left."""
        left = self.leftovers(timeout)
        assert not left, f"left behind: {'; '.join(left)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # An error on its way says more than what it left behind.
        if error is None:
            self.assert_no_leaks()


def _connections(process: ProcessIdentity) -> list[Any]:
    try:
        return list(psutil.Process(process.pid).net_connections(kind="all"))
    except psutil.Error:
        return []


def _below(folder: Path) -> Iterable[Path]:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield Path(parent, name)


def _become_subreaper() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
