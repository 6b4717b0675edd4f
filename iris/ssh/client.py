"""What connections of one process share: the private folder that their sockets lie in."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from iris.ssh.connection import SshConnection
from iris.ssh.options import SshOptions, check_destination

# Of sun_path, the end and the 17 characters that ssh adds while it makes the socket taken off.
_LONGEST_SOCKET = 104 - 1 - 17
_SHORT = "/tmp"


class SshClient:
    """Connects to hosts. Belongs to one event loop; close it, or use it in `async with`.

    No connection, forward or file of it is left after `close`. If this process is killed, its
    connections end by themselves: they live as long as a pipe to it is open.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._made = 0
        self._connections: set[SshConnection] = set()

    async def connect(self, host: str, options: SshOptions) -> SshConnection:
        """A new connection, over which something can be run at once.

        Raises InvalidArgument, FailedPrecondition (host key), PermissionDenied, Unavailable or
        DeadlineExceeded, each with what to do.
        """
        check_destination(host)
        self._made += 1
        connection = SshConnection(host, options, self._socket(self._made))
        self._connections.add(connection)
        try:
            await connection.open()
        except BaseException:
            self._connections.discard(connection)
            raise
        connection.on_closed(lambda: self._connections.discard(connection))
        return connection

    async def close(self) -> None:
        """Ends all connections and removes the folder. Idempotent."""
        await asyncio.gather(*(one.close() for one in tuple(self._connections)))
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _socket(self, number: int) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="iris-ssh-"))
            if len(os.fsencode(self._folder)) + 8 > _LONGEST_SOCKET:
                self._folder.rmdir()
                self._folder = Path(tempfile.mkdtemp(prefix="iris-ssh-", dir=_SHORT))
        return self._folder / str(number)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
