"""Whether the runtime could run something now, asked for real."""

import asyncio
import os
import signal

import pytest

from iris.model.errors import FailedPrecondition, Unavailable
from iris.worker.runtime.process_runtime import ProcessRuntime
from iris.worker.runtime.spawner_client import SpawnerClient
from iris.worker.runtime.trees_fixture import request, run


async def test_the_spawner_answers(runtime: ProcessRuntime) -> None:
    await runtime.start()
    for _ in range(3):
        await runtime.probe()
    await asyncio.gather(*(runtime.probe() for _ in range(20)))
    report, _, _ = await run(runtime, request("true"))
    assert report.exit_code == 0
    await runtime.probe()


async def test_one_that_is_stopped_does_not(runtime: ProcessRuntime) -> None:
    await runtime.start()
    os.kill(runtime.spawner_pid, signal.SIGSTOP)
    probing = asyncio.create_task(runtime.probe())
    try:
        await asyncio.wait([probing], timeout=0.1)
        assert not probing.done()
    finally:
        os.kill(runtime.spawner_pid, signal.SIGCONT)
    await probing


async def test_a_look_that_is_given_up_leaves_the_spawner_usable(runtime: ProcessRuntime) -> None:
    await runtime.start()
    os.kill(runtime.spawner_pid, signal.SIGSTOP)
    probing = asyncio.create_task(runtime.probe())
    await asyncio.wait([probing], timeout=0.1)
    probing.cancel()
    await asyncio.wait([probing])
    os.kill(runtime.spawner_pid, signal.SIGCONT)
    await runtime.probe()


async def test_one_that_died_is_replaced(runtime: ProcessRuntime) -> None:
    await runtime.start()
    first = runtime.spawner_pid
    os.kill(first, signal.SIGKILL)
    await runtime.probe()
    assert runtime.spawner_pid != first


async def test_one_that_cannot_be_replaced_is_told(
    runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await runtime.start()
    os.kill(runtime.spawner_pid, signal.SIGKILL)

    async def fail(*_: object) -> SpawnerClient:
        raise Unavailable("The process that starts tasks did not come up.")

    with monkeypatch.context() as patched:
        patched.setattr(SpawnerClient, "launch", fail)
        with pytest.raises(Unavailable, match="did not come up"):
            await runtime.probe()
    await runtime.probe()


async def test_a_closed_one_runs_nothing(runtime: ProcessRuntime) -> None:
    await runtime.start()
    await runtime.close()
    with pytest.raises(FailedPrecondition, match="closed"):
        await runtime.probe()
