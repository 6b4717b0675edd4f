"""Real trees end, all of them, whoever is stopped or killed: task, supervisor, spawner or worker."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from iris.host.files import FileLock
from iris.model.errors import FailedPrecondition
from iris.testing.eventually import assert_eventually
from iris.worker.protocols import ExitReport
from iris.worker.runtime import process_tree
from iris.worker.runtime.process_handle import ProcessRunHandle
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.runtime.trees_fixture import (
    Output,
    alive,
    assert_dead,
    hostile,
    identities,
    reaper_of,
    request,
    run,
    start_tree,
)


async def test_stopping_asks_every_process_of_the_tree(runtime: ProcessRuntime) -> None:
    trap = "trap 'echo asked $1; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    handle = await runtime.run(
        request("sh", "-c", f'sh -c "{trap.replace("$1", "child")}" & {trap}; wait')
    )
    output = await Output.follow(handle)
    for _ in range(2):
        assert await output.line() == "ready\n"
    handle.stop("enough")
    handle.stop("a later reason does not count")
    report = await handle.wait()
    assert (report.exit_code, report.stopped, report.error) == (3, True, "enough")
    assert b"asked" in await output.stdout.read()


async def test_what_ignores_being_asked_is_killed_after_the_grace(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn", grace=timedelta(seconds=0.2))
    assert len(tree) == 5
    handle.stop("enough")
    report = await handle.wait()
    assert alive(tree) == []
    assert (report.exit_code, report.signal) == (None, signal.SIGKILL)
    assert (report.stopped, report.error) == (True, "enough")


async def test_the_grace_can_be_cut_short(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn")
    handle.stop("slowly")
    handle.stop("now", timedelta(0))
    report = await handle.wait()
    assert alive(tree) == []
    assert report.error == "slowly"


async def test_when_the_root_ends_nobody_stays(runtime: ProcessRuntime) -> None:
    handle = await runtime.run(request(*hostile("orphans")))
    output = await Output.follow(handle)
    assert len((await output.line()).split()) == 3
    report = await handle.wait()
    assert report.exit_code == 0
    assert not report.stopped
    # Their pipes have no writer left: nobody stayed.
    assert await output.stdout.read() == b""


async def test_trees_that_fork_while_they_are_killed_are_killed(runtime: ProcessRuntime) -> None:
    for _ in range(10):
        handle = await runtime.run(request(*hostile("hoppers")))
        assert isinstance(handle, ProcessRunHandle)
        output = await Output.follow(handle)
        assert await output.line() == "hopping\n"
        handle.stop("enough", timedelta(0))
        await handle.wait()
        # Their pipes have no writer left: nobody got away.
        assert await output.stdout.read() == b""


async def test_orphans_that_end_early_are_reaped(runtime: ProcessRuntime) -> None:
    handle, [root], _ = await start_tree(runtime, "reaping")
    reaper = reaper_of(root)
    await assert_eventually(
        lambda: process_tree.children_of(reaper) == [root.pid], "no zombie beside the root"
    )
    handle.stop("enough", timedelta(0))
    await handle.wait()


async def test_a_killed_supervisor_takes_its_tree_with_it(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn")
    os.kill(handle.supervisor_pid, signal.SIGKILL)
    report = await handle.wait()
    assert alive(tree) == []
    assert "supervisor ended unexpectedly (SIGKILL (signal 9))" in report.error
    assert (report.exit_code, report.signal, report.started) == (None, None, True)
    assert (await run(runtime, request("true")))[0].exit_code == 0


async def test_the_root_dies_with_its_supervisor_though_nobody_kills_it(
    runtime: ProcessRuntime,
) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn")
    root = tree[-1]
    os.kill(runtime.spawner_pid, signal.SIGSTOP)
    try:
        os.kill(handle.supervisor_pid, signal.SIGKILL)
        await assert_eventually(lambda: not root.is_alive(), "the root is dead")
    finally:
        os.kill(runtime.spawner_pid, signal.SIGCONT)
    await handle.wait()
    assert alive(tree) == []


async def test_a_killed_spawner_ends_what_runs_and_is_replaced(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn")
    first = runtime.spawner_pid
    os.kill(first, signal.SIGKILL)
    report = await handle.wait()
    assert alive(tree) == []
    assert "was killed, and the task was ended with it" in report.error
    assert not report.stopped
    assert (await run(runtime, request("true")))[0].exit_code == 0
    assert runtime.spawner_pid != first


async def test_a_spawner_that_dies_under_requests_loses_none_silently(
    runtime: ProcessRuntime,
) -> None:
    await runtime.start()

    async def one() -> ExitReport:
        return (await run(runtime, request("true")))[0]

    running = [asyncio.create_task(one()) for _ in range(40)]
    await assert_eventually(lambda: any(task.done() for task in running), "some are done")
    os.kill(runtime.spawner_pid, signal.SIGKILL)
    for report in await asyncio.gather(*running):
        assert (report.exit_code == 0) != bool(report.error), report


@contextmanager
def worker_with_a_tree(claim: str = "") -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Another process with a runtime, and the pids of its hostile tree, supervisor and spawner."""
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from iris.worker.runtime import trees_fixture as t\n"
        "from iris.worker.runtime.process_runtime import ProcessRuntime\n"
        "async def main():\n"
        "    runtime = ProcessRuntime(*map(Path, sys.argv[1:]))\n"
        "    await runtime.start()\n"
        "    handle, tree, _ = await t.start_tree(runtime, 'stubborn')\n"
        "    print(*(p.pid for p in tree), handle.supervisor_pid, runtime.spawner_pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *([claim] if claim else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as worker:
        assert worker.stdout is not None
        try:
            yield worker, [int(word) for word in worker.stdout.readline().split()]
        finally:
            worker.kill()


async def test_a_killed_worker_leaves_nothing() -> None:
    with worker_with_a_tree() as (worker, pids):
        assert len(pids) == 7
        tree = identities(pids)
        worker.kill()
        await assert_dead(tree)


async def test_who_follows_a_killed_worker_begins_when_nothing_of_it_is_left(
    tmp_path: Path,
) -> None:
    claim = tmp_path / "runtime.lock"
    with worker_with_a_tree(str(claim)) as (worker, pids):
        tree = identities(pids)
        successor = ProcessRuntime(claim)
        starting = asyncio.ensure_future(successor.start())
        await asyncio.wait([starting], timeout=0.1)
        assert not starting.done()
        worker.kill()
        await starting
        assert alive(tree) == []
    await successor.close()
    free = FileLock(claim)
    assert free.acquire()
    free.let_go()


async def test_closing_ends_everything_and_for_good(runtime: ProcessRuntime) -> None:
    handle, tree, _ = await start_tree(runtime, "stubborn")
    await runtime.close()
    assert alive(tree) == []
    assert (await handle.wait()).stopped
    with pytest.raises(FailedPrecondition, match="closed"):
        await runtime.run(request("true"))
    await runtime.close()


async def test_a_cancelled_run_leaves_nothing(runtime: ProcessRuntime) -> None:
    await runtime.start()
    outcomes = set()
    for turns in range(12):
        starting = asyncio.create_task(runtime.run(request(*hostile("stubborn"))))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        try:
            handle = await starting
        except asyncio.CancelledError:
            outcomes.add("cancelled")
        else:
            outcomes.add("too late")
            await Output.follow(handle)
            handle.stop("enough", timedelta(0))
            await handle.wait()
        await assert_eventually(
            lambda: process_tree.children_of(runtime.spawner_pid) == [], "no supervisor left"
        )
    assert "cancelled" in outcomes
