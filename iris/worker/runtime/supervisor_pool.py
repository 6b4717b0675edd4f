"""Supervisors that wait for their next request, as the worker holds them: by their control sockets."""

import asyncio
import socket
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass

from iris.worker.runtime import wire

# A supervisor takes some 2 MiB while it waits.
_IDLE_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class _Waiting:
    """`key` is what it was used for; None: for nothing yet."""

    key: Hashable | None
    control: socket.socket
    is_ready: bool
    expiry: asyncio.TimerHandle | None


class SupervisorPool:
    """At most so many; whoever has waited longest goes first. Belongs to one event loop.

    One that was used is used again for the same key only; one that was not, for any. Each that
    ends by itself is forgotten. `close` ends all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[socket.socket, _Waiting] = {}

    def take(self, key: Hashable) -> socket.socket | None:
        """One that is ready, now the caller's; None if there is none."""
        best: _Waiting | None = None
        # Whoever was used last has most in the machine's caches; and spares are for new keys.
        for one in reversed(self._waiting.values()):
            if one.is_ready and one.key == key:
                best = one
                break
            if one.is_ready and one.key is None:
                best = best or one
        if best is None:
            return None
        self._forget(best)
        return best.control

    @property
    def has_spare(self) -> bool:
        """Whether one is there that was never used."""
        return any(one.key is None for one in self._waiting.values())

    def put(self, control: socket.socket, key: Hashable | None, *, is_ready: bool) -> None:
        """Takes over a supervisor. One that is not ready says so, or ends."""
        if len(self._waiting) >= self._most:
            self._end(next(iter(self._waiting.values())))
        # One that was never used is for whoever comes; it stays.
        expiry = self._loop.call_later(_IDLE_SECONDS, self._expire, control) if key else None
        self._waiting[control] = _Waiting(key, control, is_ready, expiry)
        self._loop.add_reader(control.fileno(), self._on_readable, control)

    def close(self) -> None:
        """Ends all. Idempotent."""
        for one in tuple(self._waiting.values()):
            self._end(one)

    def _on_readable(self, control: socket.socket) -> None:
        one = self._waiting[control]
        said = b""
        with suppress(ConnectionError):
            said = control.recv(wire.MAX_LINE)
        if said == wire.line(wire.READY) and not one.is_ready:
            one.is_ready = True
        else:
            self._end(one)

    def _expire(self, control: socket.socket) -> None:
        self._end(self._waiting[control])

    def _end(self, one: _Waiting) -> None:
        self._forget(one)
        one.control.close()

    def _forget(self, one: _Waiting) -> None:
        if one.expiry is not None:
            one.expiry.cancel()
        self._loop.remove_reader(one.control.fileno())
        del self._waiting[one.control]
