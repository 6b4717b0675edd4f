"""Set-up commands really run, one after the other, and their output is held up, not lost."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from iris.host.clock import SystemClock
from iris.model.resources import Resources
from iris.model.states import TaskState
from iris.testing.clock import FakeClock, settle
from iris.testing.eventually import assert_eventually
from iris.testing.worker_fakes import FakeRuntime
from iris.worker.attempts.setup import SETUP_TIMEOUT, SetupFailed, in_python_environment, run_setup
from iris.worker.logs.lines import LogStream
from iris.worker.logs.log_buffer import LogBuffer
from iris.worker.logs.redaction import Redaction
from iris.worker.protocols import ContainerRuntime, RunRequest
from iris.worker.runtime.process_runtime import ProcessRuntime


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = LogBuffer()
        self.runtime = ProcessRuntime()

    async def run(self, *commands: str, runtime: ContainerRuntime | None = None) -> None:
        task = RunRequest(
            name="/u/job/0",
            argv=("prog",),
            env={"PATH": os.defpath, "SECRET": "correct-horse"},
            cwd=self.folder,
            resources=Resources(),
            stop_grace=timedelta(0),
        )
        await run_setup(
            commands,
            task,
            runtime=runtime or self.runtime,
            logs=self.logs,
            redaction=Redaction(["correct-horse"]),
            clock=SystemClock(),
        )

    def lines(self) -> list[str]:
        taken = self.logs.take(1 << 20, 1 << 30).lines
        assert all(line.stream is LogStream.BUILD for line in taken)
        return [line.text.decode() for line in taken]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.runtime.close()


async def test_they_run_in_order_in_the_task_s_folder(bench: Bench) -> None:
    await bench.run("pwd > where; echo one", "cat where; echo $SECRET >&2", "# correct-horse\ntrue")
    assert bench.lines() == [
        "$ pwd > where; echo one",
        "one",
        "$ cat where; echo $SECRET >&2",
        str(bench.folder),
        "***",
        "$ # ***",
        "true",
    ]


async def test_the_first_that_fails_is_the_last(bench: Bench) -> None:
    with pytest.raises(SetupFailed) as failed:
        await bench.run("true", "echo why >&2; exit 7", "touch after")
    outcome = failed.value.outcome
    assert (outcome.state, outcome.exit_code) == (TaskState.FAILED, 7)
    assert outcome.error == (
        "The set-up command 'echo why >&2; exit 7' exited with code 7. Its last lines:\nwhy"
    )
    assert not (bench.folder / "after").exists()


async def test_a_long_command_is_named_by_its_beginning(bench: Bench) -> None:
    with pytest.raises(SetupFailed, match=r"'exit 5\.\.\.' exited with code 5, without a word"):
        await bench.run("exit 5\nnever")


async def test_a_flood_waits_for_the_lines_to_be_delivered(bench: Bench) -> None:
    bench.logs = LogBuffer(capacity_bytes=100_000)
    running = asyncio.create_task(bench.run("seq 100000"))
    await assert_eventually(lambda: not bench.logs.has_room, "the log is full")
    await settle(100)
    assert bench.logs.size_bytes < 500_000
    assert not running.done()
    lines: list[str] = []

    async def deliver() -> None:
        while not running.done() or bench.logs.has_unsent:
            lines.extend(bench.lines())
            bench.logs.acknowledge(len(lines))
            await asyncio.sleep(0)

    await deliver()
    await running
    assert lines[1:] == [str(number) for number in range(1, 100_001)]


async def test_each_has_so_much_time(tmp_path: Path) -> None:
    bench, runtime, clock = Bench(tmp_path), FakeRuntime(), FakeClock()
    task = RunRequest("t", ("prog",), {}, tmp_path, Resources(), timedelta(0))
    running = asyncio.create_task(
        run_setup(
            ("sleep 1d",),
            task,
            runtime=runtime,
            logs=bench.logs,
            redaction=Redaction(),
            clock=clock,
        )
    )
    await settle()
    await clock.advance(SETUP_TIMEOUT.total_seconds() - 1)
    assert not running.done()
    await clock.advance(1)
    with pytest.raises(SetupFailed, match=r"'sleep 1d' did not end within 0:30:00"):
        await running
    assert runtime.handles[0].stops == [("it took longer than 0:30:00", None)]


def test_a_python_environment_comes_first() -> None:
    inside = in_python_environment({"PATH": "/usr/bin", "A": "1"}, Path("/env"))
    assert inside == {"PATH": "/env/bin:/usr/bin", "A": "1", "VIRTUAL_ENV": "/env"}
    assert in_python_environment({}, Path("/env"))["PATH"] == f"/env/bin:{os.defpath}"
