"""For tests: requests, trees that do not want to die, and what they write."""

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from iris.host.processes import ProcessIdentity
from iris.model.resources import Resources
from iris.testing.eventually import assert_eventually
from iris.worker.protocols import ExitReport, RunHandle, RunRequest
from iris.worker.runtime.process_handle import ProcessRunHandle
from iris.worker.runtime.process_runtime import ProcessRuntime

HOSTILE = Path(__file__).with_name("testdata") / "hostile.py"
PYTHON = (sys.executable, "-I", "-S")
LONG = timedelta(seconds=60)


def open_fds() -> dict[str, str]:
    """Descriptors of this process and what they are."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue  # the one of the listing itself
    return found


def request(
    *argv: str,
    cwd: Path = Path("/"),
    env: dict[str, str] | None = None,
    grace: timedelta = LONG,
) -> RunRequest:
    return RunRequest("test", argv, env or {"PATH": "/usr/bin:/bin"}, cwd, Resources(), grace)


def python(code: str) -> tuple[str, ...]:
    return (*PYTHON, "-c", code)


def hostile(behaviour: str) -> tuple[str, ...]:
    return (*PYTHON, str(HOSTILE), behaviour)


class Output:
    """Reads a tree's pipes. Made by `follow`; `closed` closes them."""

    def __init__(self, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self.stdout = stdout
        self.stderr = stderr

    @classmethod
    async def follow(cls, handle: RunHandle) -> "Output":
        return cls(await _reader(handle.stdout), await _reader(handle.stderr))

    async def line(self) -> str:
        line = (await self.stdout.readline()).decode()
        assert line, (await self.stderr.read()).decode()
        return line


async def _reader(pipe: BinaryIO) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


async def run(runtime: ProcessRuntime, req: RunRequest) -> tuple[ExitReport, bytes, bytes]:
    """To its end, with all it wrote."""
    handle = await runtime.run(req)
    output = await Output.follow(handle)
    report = await handle.wait()
    return report, await output.stdout.read(), await output.stderr.read()


async def start_tree(
    runtime: ProcessRuntime, behaviour: str, grace: timedelta = LONG
) -> tuple[ProcessRunHandle, list[ProcessIdentity], Output]:
    """A hostile tree, and who is in it."""
    handle = await runtime.run(request(*hostile(behaviour), grace=grace))
    assert isinstance(handle, ProcessRunHandle)
    output = await Output.follow(handle)
    return handle, identities(await output.line()), output


def identities(line: str) -> list[ProcessIdentity]:
    found = [ProcessIdentity.of(int(word)) for word in line.split()]
    assert all(found), f"not all alive: {line}"
    return [one for one in found if one is not None]


def alive(tree: list[ProcessIdentity]) -> list[ProcessIdentity]:
    return [one for one in tree if one.is_alive()]


async def assert_dead(tree: list[ProcessIdentity]) -> None:
    await assert_eventually(lambda: not alive(tree), f"all of {tree} dead")
