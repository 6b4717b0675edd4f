"""The link passes everything on until it is told to be slow, to lose, or to break."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from iris.smoke.slow_link import SlowLink


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def link() -> AsyncIterator[SlowLink]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with SlowLink(f"{host}:{port}") as link:
        yield link
    server.close()


async def call(link: SlowLink) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = link.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def test_what_is_sent_comes_back(link: SlowLink) -> None:
    reader, writer = await call(link)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    assert (link.connections, link.came_down, link.lost) == (1, 5, 0)
    writer.close()


@pytest.mark.parametrize("way", ["up_open", "down_open"])
async def test_a_closed_way_takes_bytes_and_loses_them(link: SlowLink, way: str) -> None:
    reader, writer = await call(link)
    writer.write(b"first")
    assert await reader.readexactly(5) == b"first"
    setattr(link, way, False)
    writer.write(b"lost")
    while not link.lost:
        await asyncio.sleep(0)
    await link.cut()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(4)
    writer.close()
    assert link.lost == 4


async def test_it_holds_where_it_is_told_to_until_it_is_let_go(link: SlowLink) -> None:
    link.hold_at = 5
    reader, writer = await call(link)
    writer.write(b"first")
    assert await reader.readexactly(5) == b"first"
    writer.write(b"later")
    reading = asyncio.create_task(reader.readexactly(5))
    await asyncio.wait({reading}, timeout=0.05)
    assert not reading.done()
    link.let_go()
    assert await reading == b"later"
    writer.close()


async def test_after_a_cut_a_new_connection_works(link: SlowLink) -> None:
    _, first = await call(link)
    await link.cut()
    reader, writer = await call(link)
    writer.write(b"again")
    assert await reader.readexactly(5) == b"again"
    first.close()
    writer.close()
