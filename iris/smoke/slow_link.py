"""A way to the controller that is slow, one-sided or broken when it is told to be: a real TCP proxy."""

import asyncio
import contextlib

_CHUNK = 4096


class SlowLink:
    """Passes connections on to `address`. Use as an async context manager, on one event loop.

    Attributes:
        rate: Bytes a second towards the worker; 0 is as fast as it goes.
        up_open: Cleared, nothing more gets to the controller: it is taken, and lost with the
            connection.
        down_open: Cleared, nothing more comes back.
        lost: Bytes that were taken and not passed on so far.
        came_down: Bytes that were passed on towards the worker so far.
        connections: That were ever made.
        hold_at: Once so many bytes came down no more do, until `let_go`; 0 is never.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._target = host.strip("[]"), int(port)
        self.rate = 0
        self.up_open = True
        self.down_open = True
        self.lost = 0
        self.came_down = 0
        self.hold_at = 0
        self.connections = 0
        self._let_go = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where workers dial."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    async def __aenter__(self) -> "SlowLink":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self.cut()
        await self._server.wait_closed()

    def let_go(self) -> None:
        """Passes on what was held, and holds nothing from now on."""
        self.hold_at = 0
        self._let_go.set()

    async def cut(self) -> None:
        """Breaks every connection; what was taken and not passed on is lost. New ones may come."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._pass_on(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = None
        try:
            back, there = await asyncio.open_connection(*self._target)
            await asyncio.wait(
                [
                    asyncio.create_task(self._up(reader, there)),
                    asyncio.create_task(self._down(back, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        except OSError:
            pass
        finally:
            for end in filter(None, (writer, there)):
                end.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if not self.up_open:
                    self.lost += len(data)
                    continue
                writer.write(data)
                await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if not self.down_open:
                    self.lost += len(data)
                    continue
                writer.write(data)
                await writer.drain()
                self.came_down += len(data)
                if 0 < self.hold_at <= self.came_down:
                    await self._let_go.wait()
                if self.rate:
                    await asyncio.sleep(len(data) / self.rate)
