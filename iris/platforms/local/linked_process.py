"""A child process tied to this one by two pipes: it ends when the first is closed, and says lines on the second.

Both can be kept over an `exec` of this process, and so can the child: it is taken up again by its pid and its pipes.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_READ_BYTES = 65536


class ProcessLinks(NamedTuple):
    """What is left of a LinkedProcess that was let go of: enough to take it up again.

    Attributes:
        lifeline: A descriptor; the process ends once it is closed everywhere.
        answers: A descriptor that its lines come from.
    """

    pid: int
    lifeline: int
    answers: int


class LinkedProcess:
    """One child. Belongs to one event loop; one task at a time reads its lines."""

    def __init__(self, links: ProcessLinks) -> None:
        """Takes up a child of this process; its descriptors are this object's from now on."""
        for descriptor in (links.lifeline, links.answers):
            os.set_inheritable(descriptor, False)
        self._links = links
        self._said = bytearray()
        self._is_silent = False
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(links.answers, self._read)
        self._exit: asyncio.Task[int] | None = None

    @classmethod
    def spawn(
        cls, argv: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> "LinkedProcess":
        """Starts one, with nothing of this process; its standard error is appended to `log`. Raises OSError if there is
        no such program.
        """
        lifeline_end, lifeline = os.pipe()
        answers, answers_end = os.pipe()
        try:
            pid = os.posix_spawn(
                argv[0],
                tuple(argv),
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, lifeline_end, 0),
                    (os.POSIX_SPAWN_DUP2, answers_end, 1),
                    (
                        os.POSIX_SPAWN_OPEN,
                        2,
                        str(log),
                        os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                        0o600,
                    ),
                ],
            )
        except OSError:
            os.close(lifeline)
            os.close(answers)
            raise
        finally:
            os.close(lifeline_end)
            os.close(answers_end)
        return cls(ProcessLinks(pid, lifeline, answers))

    @property
    def pid(self) -> int:
        """Its pid, also after its end."""
        return self._links.pid

    @property
    def is_silent(self) -> bool:
        """Whether it says no more: it has ended, or is about to."""
        return self._is_silent

    async def tell(self, line: str) -> None:
        """Writes a line to its standard input. One that has ended is noticed by whoever reads what it says."""
        # In a thread: the pipe may be shorter than the line.
        with contextlib.suppress(BrokenPipeError):
            await asyncio.to_thread(_write_all, self._links.lifeline, line.encode() + b"\n")

    async def next_line(self) -> str:
        """What it says next, without the end of the line; empty once it says no more."""
        while b"\n" not in self._said and not self._is_silent:
            self._news.clear()
            await self._news.wait()
        line, _, rest = self._said.partition(b"\n")
        self._said = bytearray(rest)
        return line.decode(errors="replace").strip()

    async def wait(self) -> int:
        """Its exit code once it has ended, or the signal that killed it as a negative number."""
        if self._exit is None:
            self._exit = asyncio.create_task(self._wait(), name=f"exit of pid {self.pid}")
        return await asyncio.shield(self._exit)

    def kill(self) -> None:
        """Ends it at once, without a word; nothing if that is known to have happened."""
        if self._exit is None or not self._exit.done():
            # It is not reaped yet, so the pid is still its own.
            os.kill(self.pid, signal.SIGKILL)

    async def end(self, patience: float) -> None:
        """Cuts its lifeline, and kills it if it runs on after so many seconds. Idempotent."""
        links = self._links
        if links.lifeline >= 0:
            self._links = links._replace(lifeline=-1)
            os.close(links.lifeline)
        try:
            async with asyncio.timeout(patience):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()
        self._stop_reading()

    def let_go(self) -> ProcessLinks:
        """Leaves it to run; it must not be silent. Its descriptors are the caller's; this object is of no more use."""
        links = self._links
        self._loop.remove_reader(links.answers)
        self._links = links._replace(lifeline=-1, answers=-1)
        return links

    def _read(self) -> None:
        data = os.read(self._links.answers, _READ_BYTES)
        if data:
            self._said += data
        else:
            self._stop_reading()
        self._news.set()

    def _stop_reading(self) -> None:
        self._is_silent = True
        links = self._links
        if links.answers >= 0:
            self._loop.remove_reader(links.answers)
            os.close(links.answers)
            self._links = links._replace(answers=-1)

    async def _wait(self) -> int:
        pid = self._links.pid
        if hasattr(os, "pidfd_open"):
            await _until_ended(pid)
            return _reap(pid)
        return await asyncio.to_thread(_reap, pid)


async def _until_ended(pid: int) -> None:
    """By a pidfd: it can be read from once its process has ended (pidfd_open(2))."""
    loop = asyncio.get_running_loop()
    has_ended = asyncio.Event()
    pidfd = os.pidfd_open(pid)
    loop.add_reader(pidfd, has_ended.set)
    try:
        await has_ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _reap(pid: int) -> int:
    """Blocks until that child has ended; its exit code, negative for a signal."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
