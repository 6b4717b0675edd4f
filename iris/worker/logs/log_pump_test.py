"""Pipes are read into a buffer no faster than it is emptied, and to their ends."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import BinaryIO

import pytest

from iris.testing.clock import FakeClock, settle
from iris.testing.eventually import assert_eventually
from iris.worker.logs.lines import LogLine, LogStream
from iris.worker.logs.log_buffer import LogBuffer
from iris.worker.logs.log_pump import LogPump
from iris.worker.logs.redaction import Redaction


class Pipes:
    """A pump and the other ends of its pipes."""

    def __init__(self, capacity_bytes: int = 1 << 20, redaction: Redaction | None = None) -> None:
        self.clock = FakeClock()
        self.buffer = LogBuffer(capacity_bytes=capacity_bytes)
        stdout, self.stdout = self._pipe()
        stderr, self.stderr = self._pipe()
        self.pump = LogPump(self.buffer, stdout, stderr, self.clock, redaction or Redaction())

    def _pipe(self) -> tuple[BinaryIO, BinaryIO]:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        return os.fdopen(read_end, "rb", buffering=0), os.fdopen(write_end, "wb", buffering=0)

    def lines(self) -> list[LogLine]:
        """Everything there is, acknowledged at once."""
        found: list[LogLine] = []
        while self.buffer.has_unsent:
            found += self.buffer.take(100_000, 1 << 30).lines
        self.buffer.acknowledge(self.buffer.next_index)
        return found

    def close(self) -> None:
        self.stdout.close()
        self.stderr.close()
        self.pump.abandon()


@pytest.fixture
async def pipes() -> AsyncIterator[Pipes]:
    pipes = Pipes()
    yield pipes
    pipes.close()


async def test_lines_have_their_stream_and_time(pipes: Pipes) -> None:
    pipes.stdout.write(b"out\n")
    await assert_eventually(lambda: pipes.buffer.next_index == 1, "one line")
    await pipes.clock.advance(1.5)
    pipes.stderr.write(b"err\n")
    await assert_eventually(lambda: pipes.buffer.next_index == 2, "two lines")
    out, err = pipes.lines()
    assert (out.stream, out.text, err.stream, err.text) == (
        LogStream.STDOUT, b"out", LogStream.STDERR, b"err",
    )  # fmt: skip
    assert err.time_ns - out.time_ns == 1_500_000_000
    assert out.time_ns == 1767225600 * 10**9  # FakeClock starts with 2026


async def test_it_ends_with_both_pipes_and_keeps_an_unfinished_line(pipes: Pipes) -> None:
    pipes.stdout.write(b"one\nno newline")
    pipes.stdout.close()
    await assert_eventually(lambda: pipes.buffer.next_index == 2, "two lines")
    assert not pipes.pump.is_finished
    pipes.stderr.close()
    await pipes.pump.finished()
    assert [line.text for line in pipes.lines()] == [b"one", b"no newline"]


async def test_after_the_tree_has_ended_nobody_else_is_waited_for(pipes: Pipes) -> None:
    pipes.stdout.write(b"last words")
    pipes.pump.tree_ended()
    await pipes.pump.finished()  # though both writing ends are still open
    assert [line.text for line in pipes.lines()] == [b"last words"]


async def test_a_flood_is_held_back_and_nothing_of_it_is_lost() -> None:
    pipes = Pipes(capacity_bytes=200_000)
    count = 100_000

    def flood() -> None:
        text = b"".join(b"line %d\n" % number for number in range(count))
        with pipes.stdout as stdout:
            for at in range(0, len(text), 4096):
                stdout.write(text[at : at + 4096])

    writing = asyncio.create_task(asyncio.to_thread(flood))
    received: list[bytes] = []
    largest = 0
    while not (pipes.stderr.closed or writing.done()) or pipes.buffer.has_unsent:
        largest = max(largest, pipes.buffer.size_bytes)
        if not pipes.buffer.has_room or writing.done():
            received += [line.text for line in pipes.lines()]
        await asyncio.sleep(0)
    pipes.stderr.close()
    await pipes.pump.finished()
    received += [line.text for line in pipes.lines()]
    assert received == [b"line %d" % number for number in range(count)]
    # One read more than the capacity, each line of it with its overhead.
    assert largest < 200_000 + 65536 * 20
    pipes.close()


async def test_being_held_back_for_long_is_said() -> None:
    pipes = Pipes(capacity_bytes=1)
    pipes.stdout.write(b"one\n")
    await assert_eventually(lambda: not pipes.buffer.has_room, "full")
    pipes.stdout.write(b"two\n")
    await settle()
    assert pipes.buffer.next_index == 1
    await pipes.clock.advance(7)
    pipes.stdout.close()
    pipes.stderr.close()
    texts = [line.text for line in pipes.lines()]
    while not pipes.pump.is_finished:
        await asyncio.sleep(0)
        texts += [line.text for line in pipes.lines()]
    assert texts[0::2] == [b"one", b"two"]
    assert b"held back for 7 s" in texts[1]


async def test_an_abandoned_pump_reads_no_more() -> None:
    pipes = Pipes(capacity_bytes=1)
    pipes.stdout.write(b"one\n")
    await assert_eventually(lambda: not pipes.buffer.has_room, "full")
    pipes.stdout.write(b"two\n")
    pipes.stderr.write(b"three")
    pipes.pump.abandon()
    await pipes.pump.finished()
    assert [line.text for line in pipes.lines()] == [
        b"one",
        b"Output was given up: 9 bytes that the task had written were not read, since its log lines "
        b"could not be delivered in time.",
    ]
    pipes.close()


async def test_a_secret_is_not_shown_however_it_is_written() -> None:
    pipes = Pipes(redaction=Redaction(["hunter22"]))
    for part in (b"a hunt", b"er22 b\nhunter", b"22", b"\n", b"x" * 40_000 + b"hunt", b"er22y"):
        pipes.stdout.write(part)
        await settle()
    pipes.stderr.write(b"hunter22")
    pipes.stdout.close()
    pipes.stderr.close()
    await pipes.pump.finished()
    lines = pipes.lines()
    stdout = [line.text for line in lines if line.stream is LogStream.STDOUT]
    assert stdout[:2] == [b"a *** b", b"***"]
    assert b"".join(stdout[2:]) == b"x" * 40_000 + b"***y"
    assert [line.text for line in lines if line.stream is LogStream.STDERR] == [b"***"]
