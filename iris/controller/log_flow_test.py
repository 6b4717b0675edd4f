"""Lines on their way: from a worker's stream to a caller's, and the ends that wait for them."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from iris_proto import job_pb2

from iris.controller.controller_fixture import LOST_AFTER, running, texts
from iris.controller.options import Retention
from iris.controller.scripted_worker import observation
from iris.model.errors import InvalidArgument, NotFound
from iris.model.ids import SliceId
from iris.testing.eventually import assert_eventually

JOB = "/alice/job"
TASK = f"{JOB}/0"
SUCCEEDED, FAILED = job_pb2.TASK_SUCCEEDED, job_pb2.TASK_FAILED


async def test_an_end_waits_for_its_last_lines(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(TASK)
        await worker.run(uid)
        await worker.log(uid, 0, "one")
        await worker.observe(observation(uid, SUCCEEDED, exit_code=0, log_lines=3))
        await worker.until(lambda: worker.next_lines.get(uid) == 1)
        await assert_eventually(lambda: len(cluster.controller._running.held) == 1, "held")
        assert (await cluster.get(JOB)).state == job_pb2.JOB_RUNNING
        await worker.log(uid, 1, "two")
        await worker.until(lambda: worker.next_lines.get(uid) == 2)
        assert (await cluster.get(JOB)).state == job_pb2.JOB_RUNNING
        assert not worker.acknowledged
        await worker.log(uid, 2, "three")
        await worker.until(lambda: uid in worker.acknowledged)
        job = await cluster.ended(JOB)
        assert job.state == job_pb2.JOB_SUCCEEDED
        assert job.tasks[0].attempts[0].logs_complete
        assert [text for *_, text in await cluster.logs(JOB)] == ["one", "two", "three"]


async def test_an_end_whose_lines_will_never_come_says_so(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(TASK)
        await worker.log(uid, 0, "only this")
        await worker.observe(observation(uid, SUCCEEDED, log_lines=3))
        await worker.end(uid, log_lines=3, logs_incomplete=True)
        job = await cluster.ended(JOB)
        assert job.state == job_pb2.JOB_SUCCEEDED
        assert not job.tasks[0].attempts[0].logs_complete
        assert "log lines may be missing" in job.tasks[0].attempts[0].error
        assert [text for *_, text in await cluster.logs(JOB)] == [
            "only this",
            "2 more lines were written and never arrived here.",
        ]


async def test_an_end_waits_for_its_lines_only_so_long(tmp_path: Path) -> None:
    async with running(tmp_path, lost_after=timedelta(hours=1)) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(TASK)
        await worker.observe(observation(uid, SUCCEEDED, log_lines=3))
        await assert_eventually(lambda: len(cluster.controller._running.held) == 1, "held")
        await cluster.clock.advance(39)
        assert len(cluster.controller._running.held) == 1
        await cluster.clock.advance(2)
        await worker.until(lambda: uid in worker.acknowledged)
        job = await cluster.ended(JOB)
        assert job.state == job_pb2.JOB_SUCCEEDED
        assert not job.tasks[0].attempts[0].logs_complete


@pytest.mark.parametrize("how", ["silent", "reborn", "slice gone", "goodbye"])
async def test_an_end_that_was_told_counts_when_its_worker_goes(tmp_path: Path, how: str) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(TASK)
        await worker.observe(observation(uid, SUCCEEDED, exit_code=0, log_lines=3))
        await assert_eventually(lambda: len(cluster.controller._running.held) == 1, "held")
        match how:
            case "silent":
                await cluster.clock.advance(LOST_AFTER)
            case "reborn":
                await cluster.worker("w1", incarnation="two").connect()
            case "slice gone":
                assert cluster.planner.fleet is not None
                await cluster.planner.fleet.slice_gone(SliceId("slice-1"), "gone")
            case "goodbye":
                await worker.goodbye()
        job = await cluster.ended(JOB)
        assert job.state == job_pb2.JOB_SUCCEEDED
        assert (job.tasks[0].attempts[0].exit_code, len(job.tasks[0].attempts)) == (0, 1)
        assert not job.tasks[0].attempts[0].logs_complete


async def test_a_held_end_survives_a_stream_that_breaks(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(TASK)
        end = observation(uid, SUCCEEDED, log_lines=2)
        await worker.observe(end)
        await worker.log(uid, 0, "one")
        await worker.until(lambda: worker.next_lines.get(uid) == 1)
        await worker.disconnect()
        worker.next_lines.clear()
        await worker.connect([end])
        await worker.until(lambda: worker.next_lines.get(uid) == 1)
        assert not worker.acknowledged
        await worker.log(uid, 1, "two")
        await worker.until(lambda: uid in worker.acknowledged)
        assert [text for *_, text in await cluster.logs(JOB)] == ["one", "two"]


async def test_lines_that_come_twice_or_with_a_gap_are_stored_once_and_in_order(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(TASK)
        await worker.log(uid, 0, "0", "1")
        await worker.log(uid, 0, "0", "1")
        await worker.log(uid, 5, "5")
        await worker.log(uid, 1, "1", "2", "3")
        await worker.until(lambda: worker.next_lines.get(uid) == 4)
        assert [(i, text) for _, _, i, text in await cluster.logs(JOB)] == [
            (0, "0"), (1, "1"), (2, "2"), (3, "3"),
        ]  # fmt: skip


async def test_following_a_job_shows_every_line_as_it_comes_and_ends_with_the_job(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB, replicas=2)
        uids = [await worker.given(f"{JOB}/{index}") for index in range(2)]
        await worker.log(uids[0], 0, "before")
        await worker.until(lambda: worker.next_lines.get(uids[0]) == 1)
        stream = cluster.tail(JOB, follow=True)
        seen = [await _next_text(stream)]
        for turn in range(1, 4):
            for index in (1, 0):
                first = turn if index == 0 else turn - 1
                await worker.log(uids[index], first, f"{index}-{turn}")
                seen.append(await _next_text(stream))
        assert seen == ["before", "1-1", "0-1", "1-2", "0-2", "1-3", "0-3"]
        await worker.end(uids[0], log_lines=4)
        await worker.observe(observation(uids[1], SUCCEEDED, log_lines=4))
        await worker.log(uids[1], 3, "the last words")
        rest = [text async for part in stream for text in texts(part)]
        assert rest == ["the last words"]


async def _next_text(stream: Any) -> str:
    async with asyncio.timeout(30):
        (text,) = texts(await stream.read())
    return text


async def test_attempts_of_a_task_come_in_order(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB, max_retries_failure=2)
        following = asyncio.create_task(cluster.logs(TASK, follow=True))
        for number in range(3):
            uid = await worker.given(TASK, number)
            await worker.log(uid, 0, f"a{number}", f"b{number}")
            await worker.end(uid, SUCCEEDED if number == 2 else FAILED, log_lines=2)
            await cluster.clock.advance(10)
        expected = [(TASK, n, i, f"{'ab'[i]}{n}") for n in range(3) for i in range(2)]
        assert await following == expected
        assert await cluster.logs(JOB) == expected
        assert await cluster.logs(TASK, follow=True) == expected


async def test_following_a_task_ends_with_the_task(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB, replicas=2)
        uid = await worker.given(TASK)
        await worker.log(uid, 0, "mine")
        await worker.log(await worker.given(f"{JOB}/1"), 0, "another's")
        following = asyncio.create_task(cluster.logs(TASK, follow=True))
        await worker.end(uid, log_lines=1)
        assert [text for *_, text in await following] == ["mine"]
        assert (await cluster.get(JOB)).state == job_pb2.JOB_PENDING


async def test_tail_and_since(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB, max_retries_failure=1)
        for number in range(2):
            uid = await worker.given(TASK, number)
            texts = [f"{number}.{i}" for i in range(1000)]
            await worker.log(uid, 0, *texts)
            await worker.end(uid, FAILED, log_lines=1000)
            await cluster.clock.advance(10)
        assert len(await cluster.logs(JOB)) == 2000
        assert [text for *_, text in await cluster.logs(JOB, tail=2)] == [
            "0.998", "0.999", "1.998", "1.999",
        ]  # fmt: skip
        since = Timestamp(nanos=999)
        assert await cluster.logs(JOB, since=since) == [
            (TASK, 0, 998, "0.998"),
            (TASK, 0, 999, "0.999"),
            (TASK, 1, 998, "1.998"),
            (TASK, 1, 999, "1.999"),
        ]
        with pytest.raises(InvalidArgument, match="tail is -1"):
            await cluster.logs(JOB, tail=-1)
        with pytest.raises(NotFound, match="has no task 1"):
            await cluster.logs(f"{JOB}/1")


async def test_lines_that_are_asked_for_by_pattern_and_stream(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB, replicas=2)
        for index in range(2):
            uid = await worker.given(f"{JOB}/{index}")
            await worker.log(uid, 0, *[f"{index}.{i}" for i in range(12_000)])
            await worker.log(uid, 12_000, "9 said", "by Iris", stream=job_pb2.SYSTEM)
            await worker.until(lambda uid=uid: worker.next_lines.get(uid) == 12_002)
        nines = [(f"{JOB}/1", 0, i, f"1.{i}") for i in (9, 99, 999, 9999)]
        assert await cluster.logs(f"{JOB}/1", grep=r"^\d\.9+$") == nines
        for tail in (1, 3, 4):
            assert await cluster.logs(f"{JOB}/1", grep=r"^\d\.9+$", tail=tail) == nines[-tail:]
        assert await cluster.logs(f"{JOB}/1", grep=r"^\d\.9+$", tail=5) == nines
        assert await cluster.logs(JOB, grep="9", streams=[job_pb2.SYSTEM]) == [
            (f"{JOB}/{index}", 0, 12_000, "9 said") for index in range(2)
        ]
        assert await cluster.logs(JOB, tail=1, streams=[job_pb2.STDOUT]) == [
            (f"{JOB}/{index}", 0, 11_999, f"{index}.11999") for index in range(2)
        ]
        assert await cluster.logs(JOB, streams=[job_pb2.BUILD]) == []
        with pytest.raises(InvalidArgument, match="wrong at position 2: missing"):
            await cluster.logs(JOB, grep="xx(")


async def test_a_pattern_is_followed(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        following = asyncio.create_task(cluster.logs(JOB, follow=True, grep="good"))
        uid = await worker.given(TASK)
        for at, text in enumerate(("good 1", "bad 2", "bad 3", "good 4")):
            await worker.log(uid, at, text)
        await worker.end(uid, log_lines=4)
        assert await following == [(TASK, 0, 0, "good 1"), (TASK, 0, 3, "good 4")]


async def test_who_asks_for_lines_that_are_gone_is_told_and_gets_the_rest(tmp_path: Path) -> None:
    retention = Retention(log_bytes_per_attempt=80_000)
    async with running(tmp_path, retention=retention) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(TASK)
        for at in range(0, 200, 10):
            await worker.log(uid, at, *["x" * 1000] * 10)
        await worker.until(lambda: worker.next_lines.get(uid) == 200)
        said, *rest = await cluster.logs(JOB)
        gone = rest[0][2]
        assert 100 < gone < 140
        assert said[2] == gone - 1
        assert said[3].startswith(f"{gone} lines are gone")
        assert [index for _, _, index, _ in rest] == list(range(gone, 200))
        assert (await cluster.logs(JOB, grep="y"))[0] == said
        assert len(await cluster.logs(JOB, tail=3)) == 3
        (tailed,) = await cluster.logs(JOB, tail=3, grep="y")
        assert tailed == said
        since = Timestamp(nanos=190)
        assert [index for _, _, index, _ in await cluster.logs(JOB, since=since)] == list(
            range(189, 200)
        )


async def test_a_job_that_waits_has_no_lines_yet(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.launch(JOB)
        assert await cluster.logs(JOB) == []
        following = asyncio.create_task(cluster.logs(JOB, follow=True))
        await assert_eventually(lambda: len(cluster.controller._hub) == 1, "follows")
        await cluster.terminate(JOB)
        assert await following == []


async def test_followers_that_leave_are_forgotten(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.launch(JOB)
        streams = [cluster.tail(JOB, follow=True), cluster.watch(JOB)]
        await streams[1].read()
        await assert_eventually(lambda: len(cluster.controller._hub) == 2, "both are there")
        for stream in streams:
            stream.cancel()
        await assert_eventually(lambda: len(cluster.controller._hub) == 0, "both are forgotten")
