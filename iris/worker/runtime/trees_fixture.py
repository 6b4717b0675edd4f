"""For tests: requests, trees that do not want to die, and what they write."""

import asyncio
import os
import sys
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import BinaryIO

from iris.host.processes import ProcessIdentity
from iris.model.resources import Resources
from iris.testing.eventually import assert_eventually
from iris.worker.protocols import ExitReport, Limits, RunHandle, RunRequest
from iris.worker.runtime import namespaces, process_tree
from iris.worker.runtime.cgroup_places import leftovers, own_hierarchies
from iris.worker.runtime.cgroups import Groups, remove_leftovers
from iris.worker.runtime.containment import CGROUPS, NAMESPACES
from iris.worker.runtime.process_handle import ProcessRunHandle
from iris.worker.runtime.process_runtime import ProcessRuntime

HOSTILE = Path(__file__).with_name("testdata") / "hostile.py"
PYTHON = (sys.executable, "-I", "-S")
LONG = timedelta(seconds=60)
NO_LIMITS = Limits()


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
    limits: Limits = NO_LIMITS,
) -> RunRequest:
    env = env or {"PATH": "/usr/bin:/bin"}
    return RunRequest("test", argv, env, cwd, Resources(), grace, limits=limits)


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
    runtime: ProcessRuntime, behaviour: str, grace: timedelta = LONG, limits: Limits = NO_LIMITS
) -> tuple[ProcessRunHandle, list[ProcessIdentity], Output]:
    """A hostile tree, and who is in it."""
    handle = await runtime.run(request(*hostile(behaviour), grace=grace, limits=limits))
    assert isinstance(handle, ProcessRunHandle)
    output = await Output.follow(handle)
    line = await output.line()
    await handle.started()
    seen = {inner_pid(pid): pid for pid in process_tree.descendants(handle.supervisor_pid)}
    return handle, identities(seen[int(word)] for word in line.split()), output


def inner_pid(pid: int) -> int:
    """What a process calls itself, in a PID namespace of its own or not."""
    for line in process_tree.read_file(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    return pid


def reaper_of(process: ProcessIdentity) -> int:
    """Who gets the orphans of a tree's first process: its parent."""
    return int(process_tree.read_file(f"/proc/{process.pid}/stat").rpartition(b")")[2].split()[1])


def identities(pids: Iterable[int]) -> list[ProcessIdentity]:
    found = {pid: ProcessIdentity.of(pid) for pid in pids}
    assert all(found.values()), f"not all alive: {found}"
    return [one for one in found.values() if one is not None]


@cache
def missing_tiers(tiers: frozenset[str]) -> frozenset[str]:
    """Those that this machine does not have for us, found by trying."""
    missing = set()
    if NAMESPACES in tiers and namespaces.probe():
        missing.add(NAMESPACES)
    if CGROUPS in tiers:
        groups = Groups.find()
        groups.remove()
        if not groups.places:
            missing.add(CGROUPS)
    return frozenset(missing)


def groups_left() -> list[str]:
    """Control groups of attempts that are over. Those of a spawner that was killed stay until the
    next one starts, or until now.
    """
    left = leftovers(own_hierarchies())
    remove_leftovers(own_hierarchies())
    return [group for group in left if not Path(group).name.startswith("iris-")]


def alive(tree: list[ProcessIdentity]) -> list[ProcessIdentity]:
    return [one for one in tree if one.is_alive()]


async def assert_dead(tree: list[ProcessIdentity]) -> None:
    await assert_eventually(lambda: not alive(tree), f"all of {tree} dead")
