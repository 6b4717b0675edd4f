"""Reads what a process tree writes into its attempt's LogBuffer, no faster than lines are taken."""

import asyncio
import fcntl
import struct
import termios
from typing import BinaryIO

from iris.host.clock import Clock
from iris.worker.logs.lines import LineSplitter, LogStream
from iris.worker.logs.log_buffer import LogBuffer
from iris.worker.logs.redaction import RedactedStream, Redaction

# A pipe holds this much by default; one read empties it.
_READ_BYTES = 64 << 10
# Below this, output that was held back is not worth a word.
_NOTICE_SECONDS = 5.0
_NO_REDACTION = Redaction()
_INT = struct.Struct("i")


def now_ns(clock: Clock) -> int:
    """Unix time in nanoseconds."""
    return round(clock.now().timestamp() * 1e6) * 1000


class _Pipe:
    """One stream and where it stands."""

    def __init__(self, file: BinaryIO, stream: LogStream, redaction: Redaction) -> None:
        self.file = file
        self.stream = stream
        self.watched = False
        self._redacted = RedactedStream(redaction)
        self._splitter = LineSplitter()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        return self._splitter.feed(self._redacted.feed(data))

    def end(self) -> list[bytes]:
        """The last lines."""
        return [*self._splitter.feed(self._redacted.end()), *self._splitter.end()]


class LogPump:
    """Owns both pipes from here on and closes them. One event loop.

    While the buffer is full nothing is read: the task then blocks when it writes, as it would on
    any pipe. Nothing is lost, and a SYSTEM line says so afterwards if it took long.

    Args:
        redaction: Of what the task's lines must not show.
    """

    def __init__(
        self,
        buffer: LogBuffer,
        stdout: BinaryIO,
        stderr: BinaryIO,
        clock: Clock,
        redaction: Redaction = _NO_REDACTION,
    ) -> None:
        self._buffer = buffer
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._pipes = [
            _Pipe(stdout, LogStream.STDOUT, redaction),
            _Pipe(stderr, LogStream.STDERR, redaction),
        ]
        self._finished = asyncio.Event()
        self._tree_ended = False
        self._paused_at: float | None = None
        buffer.on_room = self._resume
        for pipe in self._pipes:
            self._watch(pipe)

    def tree_ended(self) -> None:
        """No process of the tree is left. What it wrote is read to the end, but nobody who got hold
        of a pipe otherwise is waited for.
        """
        self._tree_ended = True
        for pipe in self._pipes:
            if pipe.watched:
                self._unwatch(pipe)
                self._watch(pipe)

    @property
    def is_finished(self) -> bool:
        """Whether both streams were read to their ends, or abandoned."""
        return self._finished.is_set()

    async def finished(self) -> None:
        """Returns once it is."""
        await self._finished.wait()

    def abandon(self) -> None:
        """Ends reading at once; what was not read is lost, and a SYSTEM line says how much."""
        pipes = tuple(self._pipes)
        lost = sum(_waiting_bytes(pipe.file) for pipe in pipes)
        for pipe in pipes:
            self._end(pipe)
        if lost:
            self._say(
                f"Output was given up: {lost} bytes that the task had written were not read, since "
                "its log lines could not be delivered in time."
            )

    def _watch(self, pipe: _Pipe) -> None:
        """Has it read: when there is something, or, after the end, turn by turn until it is empty.
        (An empty pipe that somebody else holds open would never become readable.)
        """
        if self._tree_ended:
            self._loop.call_soon(self._read, pipe)
        else:
            pipe.watched = True
            self._loop.add_reader(pipe.file.fileno(), self._read, pipe)

    def _unwatch(self, pipe: _Pipe) -> None:
        if pipe.watched:
            pipe.watched = False
            self._loop.remove_reader(pipe.file.fileno())

    def _read(self, pipe: _Pipe) -> None:
        if pipe not in self._pipes:
            return
        if not self._buffer.has_room:
            self._pause()
            return
        data = pipe.file.read(_READ_BYTES)
        if data:
            self._buffer.append(now_ns(self._clock), pipe.stream, pipe.feed(data))
            if self._tree_ended:
                self._watch(pipe)
        elif data == b"" or self._tree_ended:
            self._end(pipe)

    def _end(self, pipe: _Pipe) -> None:
        self._unwatch(pipe)
        pipe.file.close()
        self._pipes.remove(pipe)
        if last := pipe.end():
            self._buffer.append(now_ns(self._clock), pipe.stream, last)
        if not self._pipes:
            self._finished.set()

    def _pause(self) -> None:
        for pipe in self._pipes:
            self._unwatch(pipe)
        if self._paused_at is None:
            self._paused_at = self._clock.monotonic()

    def _resume(self) -> None:
        if self._paused_at is None:
            return
        seconds = self._clock.monotonic() - self._paused_at
        self._paused_at = None
        if seconds >= _NOTICE_SECONDS:
            self._say(
                f"Output was held back for {seconds:.0f} s, and the task blocked when it wrote: "
                "its log lines could not be delivered faster."
            )
        for pipe in self._pipes:
            self._watch(pipe)

    def _say(self, text: str) -> None:
        self._buffer.append(now_ns(self._clock), LogStream.SYSTEM, [text.encode()])


def _waiting_bytes(file: BinaryIO) -> int:
    """What a pipe holds."""
    answer = fcntl.ioctl(file.fileno(), termios.FIONREAD, bytes(_INT.size))
    return int(_INT.unpack(answer)[0])
