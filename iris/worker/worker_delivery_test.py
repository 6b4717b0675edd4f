"""Ends and lines reach the controller: whatever breaks, whole, in order and once."""

import asyncio
import os
from datetime import timedelta

import pytest
from iris_proto import job_pb2

from iris.testing.eventually import assert_eventually
from iris.worker.worker_fixture import Bench, ends, forever, pid_of, shell


async def test_what_was_acknowledged_is_forgotten(bench: Bench) -> None:
    _, stream = await bench.attached()
    stream.run(a=shell("true"))
    await stream.ended("a")
    stream.run(b=forever())
    await stream.running("b")
    stream.cut()
    again = await bench.controller.stream(1)
    assert [seen.attempt_uid for seen in again.hello.attempts] == ["b"]
    again.complete()
    assert (await again.ended("b")).state == job_pb2.TASK_KILLED


async def test_its_tasks_survive_a_restart_of_the_controller(bench: Bench) -> None:
    worker, stream = await bench.attached()
    stream.run(a=forever())
    task = await pid_of(stream, "a")
    await bench.controller.stop()
    assert task.is_alive()
    await bench.controller.start()
    again = await bench.controller.stream(1)
    assert again.hello.incarnation_id == worker.incarnation_id
    (seen,) = again.hello.attempts
    assert (seen.attempt_uid, seen.state) == ("a", job_pb2.TASK_RUNNING)
    again.complete(a=None)
    again.stop("a")
    assert (await again.ended("a")).state == job_pb2.TASK_KILLED
    assert not task.is_alive()


async def test_an_end_that_nobody_acknowledged_is_told_again(bench: Bench) -> None:
    _, stream = await bench.attached()
    bench.controller.acknowledging = False
    stream.run(a=shell("echo last words; exit 7"))
    await stream.ended("a")
    for number in (1, 2):
        bench.controller.streams[-1].cut()
        stream = await bench.controller.stream(number)
        # Its lines were not acknowledged either: they come again, and before the end.
        assert [seen.state for seen in stream.hello.attempts] == [job_pb2.TASK_RUNNING]
        end = await stream.ended("a")
        assert (end.exit_code, end.log_lines) == (7, 1)
        assert stream.lines("a") == {0: b"last words"}
    stream.acknowledge_logs("a", 1)
    stream.cut()
    stream = await bench.controller.stream(3)
    (seen,) = stream.hello.attempts
    assert (seen.state, seen.exit_code) == (job_pb2.TASK_FAILED, 7)
    stream.acknowledge("a")
    stream.cut()
    assert list((await bench.controller.stream(4)).hello.attempts) == []


async def test_on_one_stream_an_end_is_told_again_until_it_is_acknowledged(bench: Bench) -> None:
    bench.controller.heartbeat = timedelta(seconds=0.05)
    bench.controller.acknowledging = False
    _, stream = await bench.attached()
    stream.run(a=shell("true"))
    await assert_eventually(lambda: len(ends(stream, "a")) >= 3, "told three times")
    stream.acknowledge("a")
    stream.run(b=shell("true"))
    await stream.ended("b")
    told = len(ends(stream, "a"))
    await assert_eventually(lambda: len(ends(stream, "b")) >= 3, "other ends told again")
    assert len(ends(stream, "a")) == told


async def test_ends_that_nobody_acknowledges_are_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iris.worker.attempt_set._MAX_FINISHED", 1)
    bench.controller.acknowledging = False
    _, stream = await bench.attached()
    for uid in "ab":
        stream.run(**{uid: shell("true")})
        await stream.ended(uid)
    stream.cut()
    again = await bench.controller.stream(1)
    assert [seen.attempt_uid for seen in again.hello.attempts] == ["b"]


async def test_lines_go_on_after_a_reconnect_without_a_gap_or_a_copy(bench: Bench) -> None:
    bench.controller.acknowledging = False
    _, stream = await bench.attached()
    fifo = bench.root / "fifo"
    os.mkfifo(fifo)
    stream.run(a=shell(f"echo 0; echo 1; echo 2; cat {fifo}; echo 4"))
    await assert_eventually(lambda: len(stream.lines("a")) == 3, "three lines")
    stream.acknowledge_logs("a", 2)
    stream.acknowledge_logs("a", 1)
    stream.run(b=shell("true"))
    await stream.ended("b")  # so the acknowledgements before it were read
    stream.cut()
    await bench.controller.stream(1)
    await asyncio.to_thread(fifo.write_text, "3\n")
    again = bench.controller.streams[1]
    end = await again.ended("a")
    assert end.log_lines == 5
    assert again.lines("a") == {2: b"2", 3: b"3", 4: b"4"}


async def test_a_flood_arrives_whole_and_in_order(bench: Bench) -> None:
    _, stream = await bench.attached()
    stream.run(a=shell("seq 1 100000; printf 'no newline \\377'"))
    end = await stream.ended("a")
    assert end.log_lines == 100_001
    lines = stream.lines("a")
    assert [lines[at] for at in range(100_000)] == [b"%d" % n for n in range(1, 100_001)]
    assert lines[100_000] == b"no newline \xff"


async def test_a_controller_that_takes_no_lines_blocks_the_task_and_loses_none(
    bench: Bench,
) -> None:
    bench.controller.acknowledging = False
    worker, stream = await bench.attached()
    stream.run(a=shell("seq 1 200000"))
    (attempt,) = await assert_eventually(worker._set()._attempts.values, "the attempt")
    await assert_eventually(lambda: not attempt.logs.has_room, "the buffer is full")
    assert attempt.logs.size_bytes < 16 << 20
    assert stream.end("a") is None
    bench.controller.acknowledging = True
    stream.acknowledge_logs("a", 1 << 40)
    end = await stream.ended("a")
    assert (end.state, end.log_lines) == (job_pb2.TASK_SUCCEEDED, 200_000)
    assert len(stream.lines("a")) == 200_000


async def test_an_end_waits_for_lines_no_longer_than_it_may(bench: Bench) -> None:
    bench.controller.acknowledging = False
    bench.controller.flush = timedelta(seconds=0.2)
    _, stream = await bench.attached()
    stream.run(a=shell("seq 1 200000"))
    stream.run(b=forever())
    await stream.running("b")
    await assert_eventually(lambda: len(stream.lines("a")) > 10_000, "it writes")
    stream.stop("a")
    end = await stream.ended("a")
    assert (end.state, end.logs_incomplete) == (job_pb2.TASK_KILLED, True)
    assert end.log_lines == len(stream.lines("a"))
    # Who has time keeps all of it.
    stream.stop("b")
    assert not (await stream.ended("b")).logs_incomplete
