"""A controller that ends, in good order or not, and another one that goes on with its state."""

import asyncio
import shutil
import threading
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from iris_proto import job_pb2

from iris.controller.controller import DATABASE_NAME, Controller
from iris.controller.controller_fixture import Cluster, options_in, running
from iris.controller.scripted_worker import observation
from iris.model.errors import DataLoss, FailedPrecondition
from iris.testing.clock import FakeClock
from iris.testing.fake_planner import FakePlanner
from iris.testing.ids import CountedIds

JOB = "/alice/job"
TASK = f"{JOB}/0"
RUNNING = job_pb2.TASK_RUNNING


class Lives:
    """Several controllers, one after the other, that share a folder, a clock and ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.ids = CountedIds()

    def next(
        self, *slices: str, folder: Path | None = None
    ) -> AbstractAsyncContextManager[Cluster]:
        """The next one, whose autoscaler finds these slices."""
        planner = FakePlanner()
        planner.find(*slices)
        return running(folder or self.folder, planner=planner, clock=self.clock, ids=self.ids)


async def test_jobs_retries_and_logs_outlive_a_restart(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    async with lives.next() as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB, max_retries_failure=1, env={"A": "1"})
        await cluster.launch("/alice/waits", cpu_millis=99_000)
        uid = await worker.given(TASK)
        await worker.log(uid, 0, "hello")
        await worker.end(uid, job_pb2.TASK_FAILED, exit_code=3, log_lines=1)
        before = await cluster.get(JOB)
    async with lives.next() as cluster:
        after = await cluster.get(JOB)
        assert after.version > before.version
        after.version = before.version
        assert after.tasks[0].pending.code == job_pb2.RETRY_DELAY
        assert after == before
        assert [text for *_, text in await cluster.logs(JOB)] == ["hello"]
        assert not (await cluster.launch(JOB, max_retries_failure=1, env={"A": "1"})).created
        worker = await cluster.attached("w1", incarnation="two")
        await cluster.clock.advance(2)
        await worker.end(await worker.given(TASK, 1))
        assert (await cluster.ended(JOB)).state == job_pb2.JOB_SUCCEEDED
        assert (await cluster.launch("/alice/later")).created
        assert (await cluster.get("/alice/waits")).state == job_pb2.JOB_PENDING


async def test_running_attempts_run_on(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    async with lives.next() as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB, replicas=2)
        uids = [await worker.given(f"{JOB}/{index}") for index in range(2)]
        await worker.run(uids[0])
        await cluster.until(JOB, lambda job: job.tasks[0].state == RUNNING)
        specs = dict(worker.specs)
    async with lives.next("slice-1") as cluster:
        worker = cluster.worker("w1")
        # The first runs on, the second ended while nobody listened.
        worker.specs = specs
        await worker.connect(
            [observation(uids[0], RUNNING), observation(uids[1], job_pb2.TASK_SUCCEEDED)]
        )
        await worker.until(lambda: uids[1] in worker.acknowledged)
        assert worker.wanted >= {uids[0]}
        await worker.end(uids[0])
        job = await cluster.ended(JOB)
        assert job.state == job_pb2.JOB_SUCCEEDED
        assert [len(task.attempts) for task in job.tasks] == [1, 1]


async def test_an_attempt_that_was_placed_but_never_sent_is_sent(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    async with lives.next() as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(TASK)
    async with lives.next("slice-1") as cluster:
        worker = cluster.worker("w1")
        await worker.connect()
        assert worker.wanted == {uid}
        await worker.end(uid)


async def test_slices_that_did_not_outlive_the_last_controller_are_not_waited_for(
    tmp_path: Path,
) -> None:
    lives = Lives(tmp_path)
    async with lives.next() as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        await worker.run(await worker.given(TASK))
        await cluster.until(JOB, lambda job: job.tasks[0].state == RUNNING)
    async with lives.next("slice-2") as cluster:
        job = await cluster.get(JOB)
        assert job.tasks[0].attempts[0].state == job_pb2.TASK_WORKER_FAILED
        assert "slice-1 did not outlive" in job.tasks[0].attempts[0].error
        assert (await cluster.status()).workers == []


async def test_a_worker_that_does_not_come_back_after_a_restart_is_given_up(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    async with lives.next() as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        await worker.run(await worker.given(TASK))
        await cluster.until(JOB, lambda job: job.tasks[0].state == RUNNING)
    async with lives.next("slice-1") as cluster:
        await cluster.clock.advance(29)
        assert (await cluster.get(JOB)).tasks[0].state == RUNNING
        await cluster.clock.advance(1)
        await cluster.until(JOB, lambda job: job.tasks[0].state == job_pb2.TASK_PENDING)


def snapshot_of(cluster_folder: Path, target: Path) -> Path:
    """The files as a crash at this moment would leave them."""
    shutil.copytree(cluster_folder, target)
    return target


async def test_what_was_acknowledged_is_there_after_a_crash(tmp_path: Path) -> None:
    lives = Lives(tmp_path / "live")
    lives.folder.mkdir()
    copies = []
    async with lives.next() as cluster:
        worker = await cluster.attached("w1")
        for number in range(5):
            await cluster.launch(f"/alice/job{number}")
            await worker.end(await worker.given(f"/alice/job{number}/0"))
            if number % 2:
                await cluster.terminate(f"/alice/job{number}")
            copies.append(snapshot_of(lives.folder, tmp_path / f"crash{number}"))
    for number, folder in enumerate(copies):
        async with lives.next("slice-1", folder=folder) as cluster:
            for earlier in range(number + 1):
                job = await cluster.get(f"/alice/job{earlier}")
                assert job.state == job_pb2.JOB_SUCCEEDED
            assert (await cluster.status()).jobs_active == 0
            assert (await cluster.launch(f"/alice/job{number + 1}")).created


def another(folder: Path, **changes: object) -> Controller:
    return Controller(
        options_in(folder, **changes),
        planner=FakePlanner(),
        clock=FakeClock(),
        ids=CountedIds(),
    )


async def test_a_second_controller_on_the_same_state_is_refused_and_harms_nothing(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as cluster:
        second = another(tmp_path)
        with pytest.raises(FailedPrecondition, match="Another controller") as caught:
            await second.start()
        assert "\n" not in str(caught.value)
        await second.stop()
        assert (await cluster.launch(JOB)).created


async def test_a_taken_port_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        port = int(cluster.address.rpartition(":")[2])
        (tmp_path / "other").mkdir()
        second = another(tmp_path / "other", port=port)
        with pytest.raises(FailedPrecondition, match=str(port)):
            await second.start()
        assert (await cluster.launch(JOB)).created
    async with running(tmp_path / "other"):
        pass


async def test_a_damaged_state_is_refused_and_left_alone(tmp_path: Path) -> None:
    options = options_in(tmp_path)
    path = options.state_dir / DATABASE_NAME
    path.write_bytes(b"this is no database at all" * 1000)
    before = path.read_bytes()
    controller = another(tmp_path)
    with pytest.raises(DataLoss, match="damaged"):
        await controller.start()
    assert path.read_bytes() == before
    path.unlink()
    async with running(tmp_path) as cluster:
        assert isinstance(cluster, Cluster)


async def test_stopping_leaves_no_thread_and_no_task(tmp_path: Path) -> None:
    tasks = asyncio.all_tasks()
    threads = {thread.name for thread in threading.enumerate()}
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        await worker.log(await worker.given(TASK), 0, "hello")
        follower = cluster.tail(JOB, follow=True)
        await follower.read()
    assert asyncio.all_tasks() == tasks
    left = {thread.name for thread in threading.enumerate()} - threads
    assert not any("store" in name for name in left), left
