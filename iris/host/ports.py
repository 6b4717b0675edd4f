"""TCP ports on loopback that nobody else gets: bound first, told later, held until they are handed
over.

A number is taken from the kernel by binding port 0, and the socket stays bound until whoever asked
is about to use the number. From then until the lease is released, no allocator of this machine that
shares the lease folder gives the number out again: each lease is a locked file, which the kernel
unlocks when the process that holds it ends, however it ends.
"""

import errno
import fcntl
import os
import socket
from pathlib import Path

from iris.host.files import private_folder
from iris.model.errors import ResourceExhausted

LOOPBACK = "127.0.0.1"
# How many numbers the kernel may offer that others have leased before we give up.
_MAX_TRIES = 1000


class PortLease:
    """One port, from `PortAllocator.lease`.

    Attributes:
        name: What it is for; in messages.
    """

    def __init__(
        self, allocator: "PortAllocator", name: str, held: socket.socket, lock: int | None
    ) -> None:
        self.name = name
        self.port: int = held.getsockname()[1]
        self._allocator = allocator
        self._held: socket.socket | None = held
        self._lock = lock

    def hand_over(self) -> int:
        """Lets go of the socket so that the owner can bind the port; the number stays leased.
        Idempotent.
        """
        if self._held is not None:
            self._held.close()
            self._held = None
        return self.port

    def release(self) -> None:
        """Gives the number back. Idempotent."""
        self.hand_over()
        self._allocator._forget(self)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class PortAllocator:
    """One per process; processes that share `lease_dir` share one space of ports. Any thread, one
    at a time.

    Args:
        lease_dir: Made if it is not there; None where no other process of this machine takes part.
    """

    def __init__(self, lease_dir: Path | None = None) -> None:
        self._lease_dir = lease_dir
        self._leases: dict[int, PortLease] = {}
        if lease_dir is not None:
            private_folder(lease_dir)

    def lease(self, name: str) -> PortLease:
        """A port that is free and stays ours. Raises ResourceExhausted when there is none."""
        # Sockets of refused numbers stay bound until the end, or the kernel would offer the same
        # again.
        refused: list[socket.socket] = []
        try:
            for _ in range(_MAX_TRIES):
                held = _bind_any(name)
                port = held.getsockname()[1]
                if port not in self._leases:
                    locked, lock = self._try_lock(port)
                    if locked:
                        lease = self._leases[port] = PortLease(self, name, held, lock)
                        return lease
                refused.append(held)
        finally:
            for held in refused:
                held.close()
        raise ResourceExhausted(
            f"No port for {name}: {_MAX_TRIES} that the kernel offered are leased to others.",
            hint="End tasks that hold named ports.",
        )

    def leased(self) -> frozenset[int]:
        """The numbers this allocator has given out and not had back."""
        return frozenset(self._leases)

    def close(self) -> None:
        """Releases everything. Idempotent."""
        for lease in list(self._leases.values()):
            lease.release()

    def _forget(self, lease: PortLease) -> None:
        self._leases.pop(lease.port, None)

    def _try_lock(self, port: int) -> tuple[bool, int | None]:
        """Whether the number is ours now, and the descriptor that holds its lock.

        The files are never removed: between an open and a lock of a removed one, two could hold
        "the same" lease. There are at most 65,535 of them, empty.
        """
        if self._lease_dir is None:
            return True, None
        lock = os.open(
            self._lease_dir / f"{port}.lease", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False, None
        return True, lock


def _bind_any(name: str) -> socket.socket:
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.bind((LOOPBACK, 0))
    except OSError as error:
        held.close()
        if error.errno in (errno.EADDRINUSE, errno.EMFILE, errno.ENFILE):
            raise ResourceExhausted(
                f"No port for {name}: {error.strerror}.", hint="End tasks that hold ports."
            ) from error
        raise
    return held
