"""Streams that break, processes that are replaced, observations that get lost, workers that fall
silent.
"""

from pathlib import Path

import pytest
from iris_proto import job_pb2, worker_pb2

from iris.controller.controller_fixture import LOST_AFTER, Cluster, running
from iris.controller.scripted_worker import ScriptedWorker, observation
from iris.model.errors import InvalidArgument, Unavailable
from iris.model.ids import SliceId
from iris.rpc.errors import from_wire
from iris.testing.eventually import assert_eventually

JOB = "/alice/job"
TASK = f"{JOB}/0"
RUNNING, SUCCEEDED = job_pb2.TASK_RUNNING, job_pb2.TASK_SUCCEEDED


async def started(cluster: Cluster, worker: ScriptedWorker, **details: object) -> str:
    """The uid of a running attempt of a new job's only task."""
    await cluster.launch(JOB, **details)
    uid = await worker.given(TASK)
    await worker.run(uid)
    await cluster.until(JOB, lambda job: job.tasks[0].state == RUNNING)
    return uid


async def test_a_worker_is_welcomed(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        assert worker.welcome is not None
        assert worker.welcome.heartbeat_interval.ToSeconds() == 5
        assert worker.welcome.log_flush_timeout.ToSeconds() == 20
        assert worker.welcome.controller_incarnation_id


async def test_a_stream_that_breaks_and_comes_back_costs_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        uid = await started(cluster, worker)
        await worker.disconnect()
        await worker.connect([observation(uid, RUNNING)])
        assert worker.wanted == {uid}
        await worker.end(uid)
        job = await cluster.ended(JOB)
        assert (job.state, len(job.tasks[0].attempts)) == (job_pb2.JOB_SUCCEEDED, 1)


async def test_a_newer_stream_takes_the_older_ones_place(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        uid = await started(cluster, worker)
        twin = cluster.worker("w1")
        twin.specs = dict(worker.specs)
        await twin.connect([observation(uid, RUNNING)])
        await worker.until(lambda: worker.error is not None)
        assert isinstance(from_wire(worker.error), Unavailable)
        await twin.end(uid)
        assert (await cluster.ended(JOB)).state == job_pb2.JOB_SUCCEEDED


async def test_an_end_that_got_lost_on_the_way_is_told_again(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        uid = await started(cluster, worker)
        await worker.disconnect()  # and while it is away, the attempt ends
        await worker.connect([observation(uid, SUCCEEDED, exit_code=0)])
        await worker.until(lambda: uid in worker.acknowledged)
        job = await cluster.ended(JOB)
        assert job.state == job_pb2.JOB_SUCCEEDED
        assert job.tasks[0].attempts[0].exit_code == 0


async def test_an_acknowledgement_that_got_lost_is_said_again(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        uid = await started(cluster, worker)
        await worker.end(uid, exit_code=0)
        before = await cluster.ended(JOB)
        worker.acknowledged.clear()
        await worker.disconnect()
        await worker.connect([observation(uid, SUCCEEDED, exit_code=0)])
        await worker.until(lambda: uid in worker.acknowledged)
        worker.acknowledged.clear()
        await worker.end(uid, job_pb2.TASK_FAILED, exit_code=1)
        assert await cluster.get(JOB) == before


async def test_a_new_process_under_the_same_worker_id(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        uid = await started(cluster, worker)
        await worker.disconnect()
        reborn = cluster.worker("w1", incarnation="two")
        await reborn.connect()
        assert reborn.wanted == set()
        job = await cluster.get(JOB)
        assert job.tasks[0].attempts[0].state == job_pb2.TASK_WORKER_FAILED
        assert (job.tasks[0].preemptions, job.tasks[0].failures) == (1, 0)
        await cluster.clock.advance(2)
        second = await reborn.given(TASK, 1)
        # What the old process would still say counts for nothing, and is acknowledged.
        await reborn.end(uid, job_pb2.TASK_FAILED, exit_code=1)
        await reborn.end(second, exit_code=0)
        assert (await cluster.ended(JOB)).state == job_pb2.JOB_SUCCEEDED


async def test_attempts_that_nobody_knows_are_stopped_and_forgotten(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = cluster.worker("w1")
        await worker.connect([observation("stray-1", RUNNING), observation("stray-2", SUCCEEDED)])
        assert worker.wanted == set()
        await worker.until(lambda: worker.acknowledged == {"stray-2"})
        await worker.observe(observation("stray-3", RUNNING))
        await worker.until(lambda: "stray-3" in worker.stops)
        await worker.log("stray-1", 5, "nobody", "reads", "this")
        await worker.until(lambda: worker.next_lines.get("stray-1") == 8)
        await worker.end("stray-1", job_pb2.TASK_KILLED)


async def test_a_silent_worker_is_given_up_and_its_work_goes_elsewhere(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        uid = await started(cluster, worker)
        other = await cluster.attached("w2", slice_id="slice-2")
        await cluster.clock.advance(LOST_AFTER - 1)
        await other.heartbeat()
        await assert_eventually(
            lambda: cluster.controller._running.silence.last_heard("w2") == LOST_AFTER - 1, "beat"
        )
        await cluster.clock.advance(1)
        await worker.until(lambda: worker.error is not None)
        job = await cluster.get(JOB)
        assert "silent" in job.tasks[0].attempts[0].error
        assert not job.tasks[0].attempts[0].logs_complete
        await cluster.clock.advance(2)
        second = await other.given(TASK, 1)
        # It was only cut off, and comes back with what it had.
        await worker.connect([observation(uid, RUNNING)])
        assert worker.wanted == set()
        await cluster.launch("/alice/big", cpu_millis=4000)
        big = await cluster.until(
            "/alice/big", lambda job: job.tasks[0].pending.code == job_pb2.WAITS_FOR_STOP
        )
        assert big.state == job_pb2.JOB_PENDING, "w1 still has the old attempt, w2 the new one"
        await worker.end(uid, job_pb2.TASK_KILLED)
        await worker.given("/alice/big/0")
        await other.end(second)
        assert (await cluster.ended(JOB)).state == job_pb2.JOB_SUCCEEDED


async def test_heartbeats_keep_a_worker_and_bring_usage(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        uid = await started(cluster, worker)
        version = (await cluster.get(JOB)).version
        for beat in range(1, 9):
            await cluster.clock.advance(LOST_AFTER / 2)
            usage = job_pb2.Usage(cpu_seconds=beat)
            await worker.heartbeat(observation(uid, RUNNING, usage=usage))

            async def used(beat: int = beat) -> bool:
                job = await cluster.get(JOB)
                return job.tasks[0].attempts[0].usage.cpu_seconds == beat

            await assert_eventually(used, "the usage is shown")
        job = await cluster.get(JOB)
        assert job.tasks[0].state == RUNNING
        assert job.version == version, "usage alone is no change"


async def test_a_worker_that_leaves_is_gone_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        uid = await started(cluster, worker)
        await worker.end(uid, job_pb2.TASK_KILLED, error="the worker stops")
        await worker.goodbye("scaled down")
        assert worker.error is None, "in good order"
        job = await cluster.get(JOB)
        assert job.tasks[0].preemptions == 1, "nobody asked for it to be killed"
        await assert_eventually(lambda: not cluster.planner.view.slices, "no slice is left")


async def test_a_slice_that_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await started(cluster, worker)
        assert cluster.planner.fleet is not None
        await cluster.planner.fleet.slice_gone(SliceId("slice-1"), "preempted by the cloud")
        await worker.until(lambda: worker.error is not None)
        job = await cluster.get(JOB)
        assert job.tasks[0].attempts[0].error.startswith("preempted by the cloud; log lines may")
        assert not cluster.planner.view.slices


async def test_a_slice_is_drained_only_if_it_has_nothing_to_do(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        uid = await started(cluster, worker)
        fleet = cluster.planner.fleet
        assert fleet is not None
        assert not await fleet.drain_slice(SliceId("slice-1"))
        await worker.end(uid)
        assert await fleet.drain_slice(SliceId("slice-1"))
        await cluster.launch("/alice/next")
        job = await cluster.until(
            "/alice/next", lambda job: job.tasks[0].pending.code == job_pb2.WORKERS_UNAVAILABLE
        )
        assert "draining" in job.tasks[0].pending.summary
        assert cluster.planner.view.slices["slice-1"].workers == 0
        assert await fleet.drain_slice(SliceId("unheard-of"))


async def test_a_termination_reaches_a_worker_that_was_away(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        uid = await started(cluster, worker)
        await worker.disconnect()
        await cluster.terminate(JOB)
        await worker.connect([observation(uid, RUNNING)])
        assert worker.wanted == set(), "what is not named has to be stopped"
        await worker.end(uid, job_pb2.TASK_KILLED)
        assert (await cluster.ended(JOB)).state == job_pb2.JOB_KILLED


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (worker_pb2.WorkerMessage(heartbeat=worker_pb2.Heartbeat()), "begin with a Hello"),
        (worker_pb2.WorkerMessage(hello=worker_pb2.Hello(worker_id="w")), "who it is"),
        (
            worker_pb2.WorkerMessage(
                hello=worker_pb2.Hello(
                    worker_id="w",
                    incarnation_id="i",
                    total=job_pb2.Resources(cpu_millis=-1),
                )
            ),
            "-1 of cpu",
        ),
        (
            worker_pb2.WorkerMessage(
                hello=worker_pb2.Hello(
                    worker_id="w",
                    incarnation_id="i",
                    attempts=[observation("x", job_pb2.TASK_PREEMPTED)],
                )
            ),
            "as PREEMPTED",
        ),
    ],
)
async def test_a_bad_hello_is_refused(
    tmp_path: Path, first: worker_pb2.WorkerMessage, says: str
) -> None:
    async with running(tmp_path) as cluster:
        worker = cluster.worker("w1")
        await worker.begin(first)
        await worker.until(lambda: worker.error is not None)
        error = from_wire(worker.error)
        assert isinstance(error, InvalidArgument)
        assert says in str(error)
        assert (await cluster.status()).workers == []


async def test_a_message_that_makes_no_sense_ends_only_that_stream(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker, other = await cluster.attached("w1"), await cluster.attached("w2")
        await worker.observe(observation("x", job_pb2.TASK_PENDING))
        await worker.until(lambda: worker.error is not None)
        assert isinstance(from_wire(worker.error), InvalidArgument)
        await cluster.launch(JOB)
        await other.given(TASK)
