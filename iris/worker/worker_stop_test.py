"""How a worker ends: in good order, without a controller, by a crash; and that it leaves nothing."""

import asyncio
import sys
from pathlib import Path

import pytest

from iris.model.errors import FailedPrecondition
from iris.testing.eventually import assert_eventually
from iris.worker.worker_fixture import Bench, forever, pid_of, shell, tree_of


async def test_stopping_ends_tasks_tells_their_lines_but_not_their_ends(bench: Bench) -> None:
    worker, stream = await bench.attached()
    stream.run(
        a=shell("trap 'echo asked to end; exit 0' TERM; echo ready; while :; do sleep 0.02; done")
    )
    stream.run(b=forever(), c=shell("exit 5"))
    await assert_eventually(lambda: stream.lines("a"), "ready")
    task = await pid_of(stream, "b")
    await stream.ended("c")
    await worker.stop("the machine is given back")
    assert not task.is_alive()
    assert stream.received[-1].goodbye.reason == "the machine is given back"
    said = list(stream.lines("a").values())
    assert b"asked to end" in said
    assert (
        b"Stopping: the worker stops: the machine is given back. SIGTERM, SIGKILL after 0.2 s."
        in said
    )
    # For the controller the worker left; whether they run again is its decision.
    assert stream.end("a") is None
    assert stream.end("b") is None
    await worker.stop("again")


async def test_stopping_waits_for_an_end_to_be_acknowledged(bench: Bench) -> None:
    bench.controller.acknowledging = False
    worker, stream = await bench.attached()
    stream.run(a=shell("exit 5"))
    await stream.ended("a")
    stopping = asyncio.create_task(worker.stop("done"))
    await asyncio.sleep(0)
    assert not stopping.done()
    stream.acknowledge_logs("a", 1)
    stream.acknowledge("a")
    await stopping
    assert stream.received[-1].HasField("goodbye")


async def test_stopping_without_a_controller_leaves_nothing_either(bench: Bench) -> None:
    worker, stream = await bench.attached()
    stream.run(a=forever())
    task = await pid_of(stream, "a")
    await bench.controller.stop()
    await worker.stop("enough")
    assert not task.is_alive()


async def test_a_stubborn_tree_does_not_outlive_its_worker(bench: Bench) -> None:
    worker, stream = await bench.attached()
    hostile = Path(__file__).parent / "runtime" / "testdata" / "hostile.py"
    spec = shell("")
    del spec.entrypoint.argv[:]
    spec.entrypoint.argv.extend([sys.executable, "-I", "-S", str(hostile), "stubborn"])
    stream.run(a=spec)
    tree = await tree_of(stream, "a")
    assert len(tree) == 5
    await worker.stop("enough")
    assert not [one for one in tree if one.is_alive()]


async def test_a_crash_is_without_a_word(bench: Bench) -> None:
    worker, stream = await bench.attached()
    stream.run(a=forever())
    task = await pid_of(stream, "a")
    await worker.crash()
    await stream.over.wait()
    assert not task.is_alive()
    assert not any(message.HasField("goodbye") for message in stream.received)
    assert stream.end("a") is None


async def test_a_folder_is_for_one_worker(bench: Bench) -> None:
    await bench.attached()
    with pytest.raises(FailedPrecondition, match="in use by another worker"):
        await bench.worker().start()


async def test_what_an_earlier_process_left_is_removed(bench: Bench) -> None:
    left = bench.root / "w" / "attempts" / "old" / "work"
    left.mkdir(parents=True)
    (bench.root / "w").chmod(0o700)
    await bench.attached()
    assert not left.exists()
