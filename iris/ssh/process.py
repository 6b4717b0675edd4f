"""One command on a machine, run over a connection that stands.

ssh's own exit status says too little: 255 is both a connection that failed and a command that said 255. So the
command runs below a shell that writes the command's status on stderr behind a word that nobody
knows beforehand. No such line means that nobody knows how the command ended.
"""

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from iris.model.errors import FailedPrecondition

# The end of what a command wrote is kept, of each of stdout and stderr.
KEPT_BYTES = 16 << 20
_CHUNK = 1 << 16
_LINE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended there.

    Attributes:
        status: As its shell says it: above 128 it died of the signal `status - 128`.
        stdout: The last KEPT_BYTES of it, like stderr.
    """

    host: str
    status: int
    stdout: bytes
    stderr: bytes

    def require(self, doing: str) -> bytes:
        """Its stdout. Raises FailedPrecondition if it failed, with the last line that it wrote."""
        if self.status == 0:
            return self.stdout
        said = (self.stderr.strip() or self.stdout.strip()).decode(errors="replace").splitlines()
        why = f": {said[-1]}" if said else ", without a word"
        raise FailedPrecondition(f"{doing} failed on {self.host} (exit status {self.status}){why}")


def remote_command(command: str | Sequence[str], marker: str) -> str:
    """What the login shell there is given: a script for /bin/sh, or an argv, and the report of its status."""
    inner = (
        f"/bin/sh -c {shlex.quote(command)}" if isinstance(command, str) else shlex.join(command)
    )
    return f"exec /bin/sh -c {shlex.quote(f'{inner}; echo {marker} $? >&2')}"


class RemoteProcess:
    """A command under way. Belongs to one event loop; made by SshConnection.process.

    Its stdout can be read line by line as it comes; what is not read by `lines` or `wait` is a bound on how
    much the command can write ahead.
    """

    def __init__(
        self,
        host: str,
        process: asyncio.subprocess.Process,
        transport: asyncio.SubprocessTransport,
        marker: str,
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.host = host
        self._process = process
        self._transport = transport
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._marker = marker.encode()
        self._stderr = asyncio.create_task(_read_end(process.stderr), name=f"stderr of {host}")

    @property
    def code(self) -> int | None:
        """Of the ssh that runs it, once that has ended."""
        return self._process.returncode

    async def write(self, data: bytes) -> None:
        """To its stdin. What a command that has ended did not want is dropped."""
        with contextlib.suppress(ConnectionError):
            self._stdin.write(data)
            await self._stdin.drain()

    async def close_stdin(self) -> None:
        """The end of its stdin. Idempotent."""
        self._stdin.close()
        with contextlib.suppress(ConnectionError):
            await self._stdin.wait_closed()

    async def lines(self) -> AsyncIterator[bytes]:
        """Of stdout, without their ends, until that ends. A line over 1 MiB comes in pieces."""
        while True:
            try:
                line = await self._stdout.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    yield error.partial
                return
            except asyncio.LimitOverrunError as error:
                line = await self._stdout.readexactly(max(1, error.consumed))
            yield line.removesuffix(b"\n")

    async def wait(self) -> tuple[int | None, bytes, bytes]:
        """(the command's own status, stdout that was not read yet, stderr) once it has ended. No
        status: the connection ended before it, or whatever ran it there did.
        """
        stdout = await _read_end(self._stdout)
        stderr = await self._stderr
        await self._process.wait()
        before, found, after = stderr.rpartition(self._marker + b" ")
        number, _, rest = after.partition(b"\n")
        if not found or not number.isdigit():
            return None, stdout, stderr
        return int(number), stdout, before + rest

    async def end(self) -> None:
        """Ends our side of it; there its stdin and stdout end. Idempotent."""
        # Kills it and closes our ends: the master has the others, and keeps them open for longer.
        self._transport.close()
        self._stderr.cancel()
        await self._process.wait()
        await asyncio.gather(self._stderr, return_exceptions=True)

    @classmethod
    async def start(cls, host: str, argv: Sequence[str], marker: str) -> "RemoteProcess":
        """Of the ssh that runs it."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: asyncio.subprocess.SubprocessStreamProtocol(_LINE_LIMIT, loop), *argv
        )
        process = asyncio.subprocess.Process(transport, protocol, loop)
        return cls(host, process, transport, marker)


async def _read_end(stream: asyncio.StreamReader) -> bytes:
    """To its end; the last KEPT_BYTES of it."""
    kept = bytearray()
    while chunk := await stream.read(_CHUNK):
        kept += chunk
        if len(kept) > 2 * KEPT_BYTES:
            del kept[:-KEPT_BYTES]
    return bytes(kept[-KEPT_BYTES:])
