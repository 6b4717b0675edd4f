"""The worker's side of a spawner: starts it, hands it requests, notices its end."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import iris
from iris.model.errors import Unavailable
from iris.worker.runtime import wire
from iris.worker.runtime.containment import ALL_TIERS

_log = logging.getLogger(__name__)

_CODE = (
    "import sys; sys.path.append(sys.argv[1]); from iris.worker.runtime.spawner import main; main()"
)
# All it may see of our environment: what an interpreter may need to find its own libraries.
_INHERITED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_READY_SECONDS = 30.0
# Once told to end, it and its supervisors have nothing to do but kill; longer means that processes
# do not die.
_END_SECONDS = 10.0


class SpawnerGone(Exception):
    """The spawner died before it took a request or a ping; nothing of that request was begun."""


class SpawnerClient:
    """One spawner process. Made by `launch`; `close` has to be awaited even after it died. Belongs
    to one event loop.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], sock: socket.socket, isolation: str
    ) -> None:
        self._process = process
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._sending = asyncio.Lock()
        self.isolation = isolation
        self.alive = True
        self._loop.add_reader(sock, self._on_end)

    @classmethod
    async def launch(
        cls, held: int | None = None, tiers: frozenset[str] = ALL_TIERS
    ) -> "SpawnerClient":
        """Starts one and waits until it serves. It and its supervisors keep the descriptor `held`
        open to their ends. `tiers` are the means of containment that it may try. Raises Unavailable
        if it does not serve. Must not be cancelled.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.to_thread(_start_process, theirs.fileno(), held, tiers)
        ours.setblocking(False)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                line = await _receive_line(ours)
        except (OSError, TimeoutError) as error:
            ours.close()
            process.kill()
            code = await asyncio.to_thread(process.wait)
            raise Unavailable(
                f"The process that starts tasks did not come up ({error or 'no answer'}; exit code {code}).",
                hint="Its own message is in the worker's stderr.",
            ) from error
        return cls(process, ours, line.removeprefix(wire.READY).strip().decode())

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def spawn(self, control: int) -> None:
        """Asks for a supervisor, with its end of a control socket; the caller closes its copy.
        Raises SpawnerGone.
        """
        await self._send(wire.SPAWN, [control])

    async def ping(self) -> None:
        """Returns once it has answered. Raises SpawnerGone."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            await self._send(wire.PING, [theirs.fileno()])
            theirs.close()
            try:
                answer = await self._loop.sock_recv(ours, len(wire.PING))
            except ConnectionError:
                answer = b""
        if answer != wire.PING:
            self._on_end()
            raise SpawnerGone

    async def _send(self, what: bytes, descriptors: list[int]) -> None:
        async with self._sending:
            while self.alive:
                try:
                    socket.send_fds(self._sock, [what], descriptors)
                    return
                except BlockingIOError:
                    await self._writable()
                except ConnectionError:
                    self._on_end()
        raise SpawnerGone

    async def close(self) -> None:
        """Has it end, with every supervisor that is left, and waits for that. Idempotent."""
        self._stop_reading()
        self._sock.close()
        try:
            await asyncio.to_thread(self._process.wait, _END_SECONDS)
        except subprocess.TimeoutExpired:
            _log.error(
                "spawner %d does not end: processes of its attempts cannot be killed", self.pid
            )
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def _writable(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(self._sock, _set_once, ready)
        try:
            await ready
        finally:
            self._loop.remove_writer(self._sock)

    def _on_end(self) -> None:
        """It says nothing after `ready`: what can be read is the end. May be found in other ways
        before.
        """
        if self.alive:
            self._stop_reading()
            _log.error("spawner %d ended unexpectedly; its attempts end with it", self.pid)

    def _stop_reading(self) -> None:
        if self.alive:
            self.alive = False
            self._loop.remove_reader(self._sock)


def _start_process(fd: int, held: int | None, tiers: frozenset[str]) -> subprocess.Popen[bytes]:
    root = Path(iris.__path__[0]).parent
    kept = (fd,) if held is None else (fd, held)
    words = [str(root), str(fd), ",".join(sorted(tiers)), *map(str, kept[1:])]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", _CODE, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd="/",
        env={name: os.environ[name] for name in _INHERITED if name in os.environ},
        pass_fds=kept,
    )


async def _receive_line(sock: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        chunk = await asyncio.get_running_loop().sock_recv(sock, wire.MAX_LINE)
        if not chunk or len(line) > wire.MAX_LINE:
            raise ConnectionError("it ended at once")
        line += chunk
    return line


def _set_once(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
