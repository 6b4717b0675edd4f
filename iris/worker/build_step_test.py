"""Steps end one way or another, are shown as they go, and leave no process."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from iris.host.clock import SystemClock
from iris.model.resources import Resources
from iris.testing.clock import FakeClock, settle
from iris.testing.eventually import assert_eventually
from iris.testing.worker_fakes import FakeRuntime
from iris.worker.build_step import LineSink, StepEnd, run_step
from iris.worker.logs.redaction import Redaction
from iris.worker.protocols import ContainerRuntime, ExitReport, RunRequest
from iris.worker.runtime.process_runtime import ProcessRuntime

MINUTE = timedelta(minutes=1)


def request(script: str, cwd: Path) -> RunRequest:
    return RunRequest(
        name="step",
        argv=("/bin/sh", "-c", script),
        env={"PATH": os.defpath},
        cwd=cwd,
        resources=Resources(),
        stop_grace=timedelta(0),
    )


class Shown:
    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.has_room = True
        self.asked = 0
        self.sink = LineSink(self.lines.extend, has_room=self._ask)

    def _ask(self) -> bool:
        self.asked += 1
        return self.has_room


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
async def runtime() -> AsyncIterator[ProcessRuntime]:
    runtime = ProcessRuntime()
    yield runtime
    await runtime.close()


async def run(
    runtime: ContainerRuntime, script: str, cwd: Path, shown: Shown, limit: timedelta = MINUTE
) -> StepEnd:
    return await run_step(
        runtime, request(script, cwd), shown.sink, time_limit=limit, clock=SystemClock()
    )


async def test_every_line_of_both_streams_is_shown(
    runtime: ProcessRuntime, tmp_path: Path, shown: Shown
) -> None:
    end = await run(runtime, r"echo one; echo two >&2; printf 'three\377'", tmp_path, shown)
    assert sorted(shown.lines) == [b"one", b"three\xff", b"two"]
    assert (end.problem, end.report.exit_code) == ("", 0)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 3", "exited with code 3"),
        ("kill -9 $$", "was killed by SIGKILL (signal 9)"),
        ("exec ./nothing", "exited with code 127"),
    ],
)
async def test_what_went_wrong_is_said(
    runtime: ProcessRuntime, tmp_path: Path, shown: Shown, script: str, problem: str
) -> None:
    end = await run(runtime, script, tmp_path, shown)
    assert end.problem == problem


async def test_a_program_that_cannot_be_executed(
    runtime: ProcessRuntime, tmp_path: Path, shown: Shown
) -> None:
    end = await run(runtime, "", tmp_path / "missing", shown)
    assert "cannot be entered" in end.problem
    assert not end.report.started


async def test_the_last_lines_are_remembered(
    runtime: ProcessRuntime, tmp_path: Path, shown: Shown
) -> None:
    end = await run(runtime, "seq 100; printf '%02000d\n' 0; exit 1", tmp_path, shown)
    assert end.last_lines == (*map(str, range(92, 101)), "0" * 1000)
    assert end.describe().startswith("exited with code 1. Its last lines:\n92\n93\n")
    assert StepEnd(end.report, "exited with code 1", ()).describe() == (
        "exited with code 1, without a word."
    )


async def test_time_is_bounded(runtime: ProcessRuntime, tmp_path: Path, shown: Shown) -> None:
    script = "trap '' TERM; echo begun; sleep 600"
    end = await run(runtime, script, tmp_path, shown, timedelta(seconds=0.3))
    assert end.problem == "did not end within 0:00:00.300000 and was killed"


async def test_secrets_are_not_shown(runtime: ProcessRuntime, tmp_path: Path, shown: Shown) -> None:
    end = await run_step(
        runtime,
        request("echo it is correct-horse; exit 1", tmp_path),
        shown.sink,
        time_limit=MINUTE,
        clock=SystemClock(),
        redaction=Redaction(["correct-horse"]),
    )
    assert shown.lines == [b"it is ***"]
    assert end.last_lines == ("it is ***",)


async def test_while_there_is_no_room_it_waits_and_nothing_is_lost(
    runtime: ProcessRuntime, tmp_path: Path, shown: Shown
) -> None:
    shown.has_room = False
    script = "seq 200000; touch done"
    running = asyncio.create_task(run(runtime, script, tmp_path, shown))
    # Far more than the pipe and what is held in between take.
    await assert_eventually(lambda: shown.asked, "there is output")
    await settle(200)
    assert shown.lines == []
    assert not (tmp_path / "done").exists()
    shown.has_room = True
    shown.sink.on_room()
    await running
    assert shown.lines == [str(number).encode() for number in range(1, 200_001)]


async def test_cancelled_it_leaves_no_process(
    runtime: ProcessRuntime, tmp_path: Path, shown: Shown
) -> None:
    script = "trap '' TERM; (trap '' TERM; echo $$; exec sleep 600) & echo begun; wait; sleep 600"
    running = asyncio.create_task(run(runtime, script, tmp_path, shown))
    await assert_eventually(lambda: len(shown.lines) == 2, "it runs")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not runtime._handles


async def test_cancelled_twice_it_still_waits_for_the_end(tmp_path: Path, shown: Shown) -> None:
    runtime = FakeRuntime()
    running = asyncio.create_task(run(runtime, "", tmp_path, shown))
    await settle()
    (handle,) = runtime.handles
    handle.stop = lambda reason, grace=None: None  # type: ignore[method-assign]
    running.cancel()
    await settle()
    running.cancel()
    await settle()
    assert not running.done()
    handle.end(ExitReport(None, 9))
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_no_sleep_is_left_behind(tmp_path: Path, shown: Shown) -> None:
    runtime, clock = FakeRuntime(), FakeClock()
    running = asyncio.create_task(
        run_step(runtime, request("", tmp_path), shown.sink, time_limit=MINUTE, clock=clock)
    )
    await settle()
    assert clock.sleepers == 1
    runtime.handles[0].end(ExitReport(0, None))
    assert (await running).problem == ""
    assert clock.sleepers == 0
