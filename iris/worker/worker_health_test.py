"""A worker tells how well it is, and goes on with what it has whatever that is."""

from datetime import UTC, datetime, timedelta

from iris.testing.eventually import assert_eventually
from iris.worker.health.options import HealthOptions
from iris.worker.worker_fixture import Bench, forever, pid_of, shell

OFTEN = timedelta(milliseconds=20)


async def test_it_is_well(bench: Bench) -> None:
    bench.controller.now = datetime.now(UTC)
    _, stream = await bench.attached()
    assert stream.health() == [[]]


async def test_its_hello_says_what_is_wrong(bench: Bench) -> None:
    _, stream = await bench.attached(health=HealthOptions(min_disk_bytes=1 << 80))
    ((problem,),) = stream.health()
    assert problem.startswith("disk: ")
    assert "needs 1125899906842624 GiB" in problem


async def test_what_changes_is_told_and_tasks_go_on(bench: Bench) -> None:
    worker, stream = await bench.attached(health=HealthOptions(interval=OFTEN))
    stream.run(a=forever())
    task = await pid_of(stream, "a")
    # Where it writes to see whether it can.
    blocked = worker._options.work_dir / ".health"
    blocked.mkdir()
    await assert_eventually(lambda: len(stream.health()) > 1, "the problem")
    assert stream.health()[1][0].startswith("temp: no file can be written in ")
    assert task.is_alive()
    stream.run(b=shell("exit 3"))
    assert (await stream.ended("b")).exit_code == 3, "what it is given it runs"
    blocked.rmdir()
    await assert_eventually(lambda: len(stream.health()) > 2, "that it is well again")
    assert stream.health()[2] == []


async def test_a_new_stream_says_it_again(bench: Bench) -> None:
    worker, stream = await bench.attached(health=HealthOptions(interval=OFTEN))
    (worker._options.work_dir / ".health").mkdir()
    await assert_eventually(lambda: len(stream.health()) > 1, "the problem")
    stream.cut()
    again = await bench.controller.stream(1)
    assert len(again.health()[0]) == 1


async def test_the_controllers_clock_is_another(bench: Bench) -> None:
    bench.controller.now = datetime.now(UTC) + timedelta(hours=1)
    _, stream = await bench.attached(health=HealthOptions(interval=OFTEN))
    await assert_eventually(lambda: len(stream.health()) > 1, "the problem")
    assert stream.health()[1][0].startswith("clock: it is 3600 s behind the controller's")


async def test_a_runtime_that_died_is_made_good(bench: Bench) -> None:
    _, stream = await bench.attached(health=HealthOptions(interval=OFTEN))
    await bench.runtime._spawner.close()  # type: ignore[union-attr]
    stream.run(a=shell("exit 0"))
    assert (await stream.ended("a")).exit_code == 0
    assert stream.health() == [[]]
