"""Supervisors that stay for the next tree: faster, and the next finds nothing of the one before."""

import asyncio
import os
import select
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from iris.model.resources import MIB
from iris.testing.eventually import assert_eventually
from iris.worker.protocols import Limits, RunRequest
from iris.worker.runtime import process_tree
from iris.worker.runtime.containment import NAMESPACES
from iris.worker.runtime.process_handle import ProcessRunHandle
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.runtime.trees_fixture import (
    Output,
    alive,
    groups_left,
    hostile,
    identities,
    open_fds,
    python,
    request,
    run,
)

KEEP = 4
LIMITS = Limits(memory_bytes=256 * MIB, processes=50)


@pytest.fixture
async def keeping(tiers: frozenset[str]) -> AsyncIterator[ProcessRuntime]:
    """One that keeps some, and has to leave nothing all the same."""
    before = set(process_tree.children_of(os.getpid()))
    runtime = ProcessRuntime(tiers=tiers, keep=KEEP)
    fds = open_fds()
    await runtime.start()
    yield runtime
    await runtime.close()
    assert set(process_tree.children_of(os.getpid())) <= before
    assert open_fds() == fds
    assert groups_left() == []


def owned(*argv: str, owner: str = "alice", limits: Limits = LIMITS) -> RunRequest:
    return replace(request(*argv, limits=limits), owner=owner)


def supervisors(runtime: ProcessRuntime) -> set[int]:
    return set(process_tree.children_of(runtime.spawner_pid))


async def supervisor_of(runtime: ProcessRuntime, asked: RunRequest) -> int:
    """Who ran it, once it is over and whoever stays waits."""
    handle = await runtime.run(asked)
    assert isinstance(handle, ProcessRunHandle)
    await Output.follow(handle)
    report = await handle.wait()
    assert report.exit_code == 0, report
    await settled(runtime)
    return handle.supervisor_pid


async def settled(runtime: ProcessRuntime) -> None:
    pool = runtime._pool
    assert pool is not None
    await assert_eventually(
        lambda: pool.has_spare and all(one.is_ready for one in pool._waiting.values()),
        "a spare, and nobody who is not ready",
    )


async def test_the_next_tree_of_an_owner_follows_the_last(keeping: ProcessRuntime) -> None:
    first = await supervisor_of(keeping, owned("true"))
    assert await supervisor_of(keeping, owned("true")) == first
    assert await supervisor_of(keeping, owned("true", owner="bob")) != first
    other_limits = replace(LIMITS, processes=51)
    assert await supervisor_of(keeping, owned("true", limits=other_limits)) != first
    assert await supervisor_of(keeping, owned("true")) == first


async def test_without_an_owner_everything_is_new(keeping: ProcessRuntime) -> None:
    first = await supervisor_of(keeping, owned("true", owner=""))
    await assert_eventually(lambda: first not in supervisors(keeping), "its end")


async def test_no_more_stay_than_were_asked_for(keeping: ProcessRuntime) -> None:
    await asyncio.gather(*(run(keeping, owned("true")) for _ in range(12)))
    await assert_eventually(lambda: len(supervisors(keeping)) <= KEEP, "few supervisors")


async def test_each_tree_is_measured_by_itself(keeping: ProcessRuntime) -> None:
    busy = "import time\nx = bytearray(100 << 20)\nwhile time.process_time() < 0.3: pass"
    report, _, _ = await run(keeping, owned(*python(busy)))
    assert report.cpu_seconds >= 0.3
    assert report.peak_memory_bytes > 100 * MIB
    await settled(keeping)
    handle = await keeping.run(owned("sh", "-c", "echo on; exec sleep 60"))
    output = await Output.follow(handle)
    assert await output.line() == "on\n"
    await handle.started()
    usage = handle.usage()
    assert usage is not None
    assert usage.cpu_seconds < 0.2
    handle.stop("enough")
    report = await handle.wait()
    assert report.cpu_seconds < 0.2
    assert report.peak_memory_bytes < 50 * MIB


async def test_each_tree_is_held_to_its_limits(keeping: ProcessRuntime) -> None:
    eat = python("x = bytearray(400 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\ninput()")
    for _ in range(2):
        report, _, _ = await run(keeping, owned(*eat))
        assert report.exceeded == "memory"
        await settled(keeping)
        report, out, _ = await run(keeping, owned("echo", "well"))
        assert (report.exit_code, report.exceeded, out) == (0, "", b"well\n")
        await settled(keeping)


async def test_nothing_that_a_tree_started_is_there_for_the_next(keeping: ProcessRuntime) -> None:
    for _ in range(3):
        handle = await keeping.run(owned(*hostile("orphans")))
        output = await Output.follow(handle)
        line = await output.line()
        assert (await handle.wait()).exit_code == 0
        assert len(line.split()) == 3
        assert await output.stdout.read() == b""
        await settled(keeping)
    _, out, _ = await run(
        keeping, owned(*python("import os; print(len(os.listdir('/proc/self/fd')))"))
    )
    assert out == b"4\n"  # with the listing's own


async def test_a_group_that_a_tree_made_is_gone_before_the_next(keeping: ProcessRuntime) -> None:
    code = (
        "import os\n"
        "for line in open('/proc/self/cgroup'):\n"
        "    path = '/sys/fs/cgroup/pids' + line.strip().split(':')[2]\n"
        "    if '/iris-' in path and os.path.isdir(path) and os.access(path, os.W_OK):\n"
        "        os.makedirs(path + '/own/inner', exist_ok=True); print(path)\n"
    )
    report, out, err = await run(keeping, owned(*python(code)))
    assert (report.exit_code, err) == (0, b"")
    await settled(keeping)
    for path in out.decode().splitlines():
        assert not os.path.exists(f"{path}/own")


async def test_what_a_tree_mounted_the_next_does_not_see(
    keeping: ProcessRuntime, tiers: frozenset[str], tmp_path: Path
) -> None:
    if NAMESPACES not in tiers or os.geteuid():
        pytest.skip("only the superuser's tasks may mount, in a namespace of their own")
    report, _, err = await run(keeping, owned("mount", "-t", "tmpfs", "none", str(tmp_path)))
    assert report.exit_code == 0, err
    await settled(keeping)
    _, out, _ = await run(keeping, owned("cat", "/proc/self/mountinfo"))
    assert str(tmp_path).encode() not in out


async def test_a_program_that_is_not_there_does_not_cost_a_supervisor(
    keeping: ProcessRuntime, tmp_path: Path
) -> None:
    first = await supervisor_of(keeping, owned("true"))
    for asked in (owned("no-such-program"), replace(owned("true"), cwd=tmp_path / "no")):
        report, _, _ = await run(keeping, asked)
        assert not report.started
        await settled(keeping)
    assert await supervisor_of(keeping, owned("true")) == first


async def test_one_that_is_killed_while_it_waits_is_not_missed(keeping: ProcessRuntime) -> None:
    first = await supervisor_of(keeping, owned("true"))
    os.kill(first, signal.SIGKILL)
    await assert_eventually(lambda: first not in supervisors(keeping), "its end")
    report, _, _ = await run(keeping, owned("true"))
    assert report.exit_code == 0


async def test_when_the_spawner_is_killed_those_who_wait_end(keeping: ProcessRuntime) -> None:
    await supervisor_of(keeping, owned("true"))
    waiting = identities(supervisors(keeping))
    assert len(waiting) >= 2
    os.kill(keeping.spawner_pid, signal.SIGKILL)
    await assert_eventually(lambda: not alive(waiting), "their ends")
    report, _, _ = await run(keeping, owned("true"))
    assert report.exit_code == 0


async def test_that_all_are_gone_is_found_when_the_next_is_to_run(keeping: ProcessRuntime) -> None:
    await asyncio.gather(*(run(keeping, owned("true")) for _ in range(2)))
    await settled(keeping)
    ends = [os.pidfd_open(pid) for pid in (*supervisors(keeping), keeping.spawner_pid)]
    os.kill(keeping.spawner_pid, signal.SIGKILL)
    for end in ends:  # without a turn for the loop, which would hear of it
        select.select([end], [], [])
        os.close(end)
    report, _, _ = await run(keeping, owned("true"))
    assert report.exit_code == 0
