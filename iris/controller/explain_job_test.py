"""Any job is explained at any time, over real gRPC."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from iris_proto import controller_pb2, job_pb2

from iris.controller.controller_fixture import Cluster, running
from iris.controller.convert_job import REASONS_DESCRIBED, job_explanation
from iris.controller.state.explain import Explanation, WaitingTasks
from iris.model.errors import NotFound
from iris.model.ids import JobId
from iris.model.pending import PendingCode, PendingReason
from iris.model.priority import PriorityBand
from iris.model.states import JobState, TaskState
from iris.rpc.convert_values import duration_to_proto, timestamp_from_proto
from iris.rpc.errors import rpc_errors

JOB = JobId("/alice/job")


async def explained(cluster: Cluster, job_id: str = JOB) -> job_pb2.JobExplanation:
    with rpc_errors("ExplainJob"):
        return await cluster.jobs.ExplainJob(controller_pb2.ExplainJobRequest(job_id=job_id))


def counts(explanation: job_pb2.JobExplanation) -> dict[int, int]:
    return {count.state: count.tasks for count in explanation.counts}


async def test_from_its_submission_to_its_end(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        began = cluster.clock.now()
        await cluster.launch(
            JOB,
            replicas=5,
            max_retries_failure=1,
            priority=job_pb2.PRODUCTION,
            scheduling_timeout=duration_to_proto(timedelta(minutes=5)),
            timeout=duration_to_proto(timedelta(hours=1)),
        )
        # The scheduler looks in the turn in which the job is committed.
        new = await explained(cluster)
        assert (new.job_id, new.state, new.band) == (JOB, job_pb2.JOB_PENDING, job_pb2.PRODUCTION)
        assert counts(new) == {job_pb2.TASK_PENDING: 5}
        (group,) = new.waiting
        assert (group.reason.code, group.tasks, group.first_index) == (job_pb2.NO_WORKERS, 5, 0)
        assert timestamp_from_proto(new, "unschedulable_at") == began + timedelta(minutes=5)
        assert not new.HasField("times_out_at")
        assert JOB in new.summary

        worker = await cluster.attached("w1")
        uids = [await worker.given(f"{JOB}/{index}") for index in range(4)]
        await worker.run(uids[0])
        await worker.end(uids[1], job_pb2.TASK_FAILED, exit_code=1)
        await cluster.until(JOB, lambda job: job.retries == 1)
        placed = await explained(cluster)
        assert timestamp_from_proto(placed, "times_out_at") == began + timedelta(hours=1)
        # It waits for its retry, and the last task, which had been waiting, has its place.
        (group,) = placed.waiting
        assert (group.reason.code, group.first_index) == (job_pb2.RETRY_DELAY, 1)
        due = timestamp_from_proto(placed, "next_retry_at")
        assert due is not None
        assert began < due < began + timedelta(minutes=1)

        await cluster.terminate(JOB, "enough")
        for index in range(5):
            if index != 1:
                await worker.end(await worker.given(f"{JOB}/{index}"), job_pb2.TASK_KILLED)
        await cluster.ended(JOB)
        ended = await explained(cluster)
        assert ended.state == job_pb2.JOB_KILLED
        assert "enough" in ended.error
        assert not ended.waiting
        assert ended.HasField("finished_at")
        assert not any(
            ended.HasField(name) for name in ("next_retry_at", "unschedulable_at", "times_out_at")
        )


async def test_parents_and_children_are_named(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await cluster.launch(JOB)
        await cluster.launch(f"{JOB}/child")
        await cluster.launch(f"{JOB}/free", outlives_parent=True)
        assert (await explained(cluster, f"{JOB}/child")).parent == JOB
        assert (await explained(cluster, f"{JOB}/free")).parent == ""
        whole = await explained(cluster)
        assert whole.parent == ""
        assert list(whole.children) == [f"{JOB}/child", f"{JOB}/free"]
        await cluster.terminate(f"{JOB}/child")
        assert list((await explained(cluster)).children) == [f"{JOB}/free"]


async def test_no_such_job(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(NotFound, match=JOB):
            await explained(cluster)


def test_reasons_are_bounded() -> None:
    """Retries have a reason each."""
    groups = tuple(
        WaitingTasks(PendingReason(PendingCode.RETRY_DELAY, f"attempt {index}"), 1, index)
        for index in range(10 * REASONS_DESCRIBED)
    )
    explanation = Explanation(
        JOB,
        JobState.PENDING,
        PriorityBand.BATCH,
        ((TaskState.PENDING, len(groups)),),
        groups,
        error="",
        submitted_at=datetime.fromisoformat("2026-01-01T00:00:00Z"),
        placed_at=None,
        started_at=None,
        finished_at=None,
        next_retry_at=None,
        unschedulable_at=None,
        times_out_at=None,
        retries=0,
        parent=None,
    )
    message = job_explanation(explanation)
    assert [group.first_index for group in message.waiting] == list(range(REASONS_DESCRIBED))
    assert counts(message) == {job_pb2.TASK_PENDING: len(groups)}
