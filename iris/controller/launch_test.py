"""A request for a job is made once however often it is sent, and does to a job of its name what it
says.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from iris_proto import controller_pb2, job_pb2

from iris.controller.controller_fixture import Cluster, running, spec
from iris.controller.scripted_worker import ScriptedWorker
from iris.controller.store import Store
from iris.model.constraints import Constraint, ConstraintOp
from iris.model.errors import AlreadyExists, DeadlineExceeded, FailedPrecondition, InvalidArgument
from iris.model.ids import JobId
from iris.model.priority import PriorityBand
from iris.model.taints import Toleration
from iris.rpc.errors import rpc_errors
from iris.testing.eventually import assert_eventually

JOB = JobId("/alice/job")
KEEP, REPLACE = job_pb2.EXISTING_JOB_KEEP, job_pb2.EXISTING_JOB_REPLACE
NO_BUNDLE = "sha256:" + "0" * 64


async def launch(
    cluster: Cluster,
    *,
    request_id: str = "",
    policy: job_pb2.ExistingJobPolicy = job_pb2.EXISTING_JOB_POLICY_UNSPECIFIED,
    job_id: str = JOB,
    timeout: float = 60.0,
    **details: Any,
) -> controller_pb2.LaunchJobResponse:
    request = controller_pb2.LaunchJobRequest(
        job_id=job_id, spec=spec(**details), request_id=request_id, policy=policy
    )
    with rpc_errors("LaunchJob"):
        return await cluster.jobs.LaunchJob(request, timeout=timeout)


async def test_a_request_that_is_sent_again_is_known(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        first = await launch(cluster, request_id="one")
        again = await launch(cluster, request_id="one")
        other = await launch(cluster, request_id="two")
        assert (first.created, again.created, other.created) == (True, True, False)
        assert again.job.submitted_at == other.job.submitted_at == first.job.submitted_at
        # It is known by its name, whatever would be said against it now.
        assert (await launch(cluster, request_id="one", bundle_digest=NO_BUNDLE)).created
        with pytest.raises(AlreadyExists):
            await launch(cluster, request_id="two", replicas=2)


async def test_a_request_s_name_is_bounded(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await launch(cluster, request_id="x" * 128)
        with pytest.raises(InvalidArgument, match="129 characters"):
            await launch(cluster, request_id="x" * 129)


async def test_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(InvalidArgument, match="77 is no ExistingJobPolicy"):
            await launch(cluster, policy=77)  # type: ignore[arg-type]


async def test_a_child_has_its_parent_s_band_unless_it_says_otherwise(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await launch(cluster, priority=job_pb2.BATCH)
        child = await launch(cluster, job_id=f"{JOB}/child")
        says = await launch(cluster, job_id=f"{JOB}/other", priority=job_pb2.PRODUCTION)
        other = await launch(cluster, job_id="/alice/other")
        bands = [answer.job.spec.priority for answer in (child, says, other)]
        assert bands == [job_pb2.BATCH, job_pb2.PRODUCTION, job_pb2.INTERACTIVE]
        grandchild = await launch(cluster, job_id=f"{JOB}/other/deep")
        assert grandchild.job.spec.priority == job_pb2.PRODUCTION


async def test_keep_takes_what_runs_and_replaces_what_has_ended(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        first = await launch(cluster, policy=KEEP, request_id="one")
        kept = await launch(
            cluster, policy=KEEP, request_id="two", replicas=2, bundle_digest=NO_BUNDLE
        )
        assert (first.created, kept.created) == (True, False)
        assert kept.job.spec.replicas == 1
        await worker.end(await worker.given(f"{JOB}/0"))
        assert (await cluster.ended(JOB)).state == job_pb2.JOB_SUCCEEDED
        with pytest.raises(FailedPrecondition, match="has no bundle"):
            await launch(cluster, policy=KEEP, request_id="three", bundle_digest=NO_BUNDLE)
        new = await launch(cluster, policy=KEEP, request_id="three", replicas=2)
        assert new.created
        assert new.job.spec.replicas == 2
        assert (await cluster.get(JOB)).state == job_pb2.JOB_PENDING


async def test_replace_ends_what_runs_first(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await launch(cluster, request_id="one")
        old = await worker.given(f"{JOB}/0")
        await worker.run(old)
        replacing = asyncio.create_task(
            launch(cluster, request_id="two", policy=REPLACE, replicas=3)
        )
        await worker.until(lambda: old in worker.stops)
        assert (await cluster.get(JOB)).spec.replicas == 1, "it has not ended"
        assert not replacing.done()
        await worker.end(old, job_pb2.TASK_KILLED, signal=15)
        answer = await replacing
        assert answer.created
        assert answer.job.spec.replicas == 3
        new = await worker.given(f"{JOB}/2")
        # The request again, as after a lost answer, is answered and harms nothing.
        again = await launch(cluster, request_id="two", policy=REPLACE, replicas=3)
        assert again.created
        assert again.job.submitted_at == answer.job.submitted_at
        assert new not in worker.stops


async def test_replace_of_what_has_ended_or_never_was(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        assert (await launch(cluster, request_id="one", policy=REPLACE)).created
        await cluster.terminate(JOB)
        # Also with the same specification: it is run anew.
        assert (await launch(cluster, request_id="two", policy=REPLACE)).created
        assert (await cluster.get(JOB)).state == job_pb2.JOB_PENDING


async def test_replace_ends_nothing_for_a_job_that_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await launch(cluster, request_id="one")
        with pytest.raises(FailedPrecondition, match="has no bundle"):
            await launch(cluster, request_id="two", policy=REPLACE, bundle_digest=NO_BUNDLE)
        assert (await cluster.get(JOB)).state == job_pb2.JOB_PENDING


async def test_replace_waits_no_longer_than_the_call(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await launch(cluster, request_id="one")
        old = await worker.given(f"{JOB}/0")
        with pytest.raises(DeadlineExceeded):
            await launch(cluster, request_id="two", policy=REPLACE, replicas=2, timeout=0.2)
        await worker.until(lambda: old in worker.stops)
        await worker.end(old, job_pb2.TASK_KILLED, signal=9)
        assert (await cluster.ended(JOB)).spec.replicas == 1, "nobody waited for it any more"
        assert (await launch(cluster, request_id="two", policy=REPLACE, replicas=2)).created


async def _end_what_is_stopped(worker: ScriptedWorker) -> None:
    """Until it is cancelled."""
    ended: set[str] = set()
    while True:
        await worker.until(lambda: bool(worker.stops - ended))
        for uid in worker.stops - ended:
            ended.add(uid)
            await worker.end(uid, job_pb2.TASK_KILLED, signal=15)


async def test_of_two_that_replace_at_once_both_had_their_turn(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await launch(cluster, request_id="one")
        await worker.given(f"{JOB}/0")
        both = [
            asyncio.create_task(launch(cluster, request_id=name, policy=REPLACE, replicas=count))
            for name, count in (("two", 2), ("three", 3))
        ]
        # Whichever comes first is ended for the other; its tasks may have started meanwhile.
        obeying = asyncio.create_task(_end_what_is_stopped(worker))
        answers = await asyncio.gather(*both)
        obeying.cancel()
        assert [answer.created for answer in answers] == [True, True]
        left = await cluster.get(JOB)
        assert left.spec.replicas in (2, 3)
        assert left.state != job_pb2.JOB_KILLED


async def test_the_autoscaler_is_asked_for_what_has_to_hold(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await launch(
            cluster,
            priority=job_pb2.PRODUCTION,
            port_names=["http"],
            tolerations=[job_pb2.Toleration(key="spot")],
            constraints=[
                job_pb2.Constraint(attribute="zone", op=job_pb2.EQ, values=["a"], preferred=True),
                job_pb2.Constraint(attribute="gb", op=job_pb2.GE, values=["64"]),
            ],
        )
        (demand,) = cluster.planner.demands
        assert demand.constraints == (Constraint("gb", ConstraintOp.GE, ("64",)),)
        assert demand.tolerations == (Toleration("spot"),)
        assert demand.band is PriorityBand.PRODUCTION
        assert demand.resources.ports == 1


async def test_a_back_up_holds_what_was_acknowledged(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        await launch(cluster, request_id="one")
        made = await cluster.jobs.BackUp(controller_pb2.BackUpRequest())
        await cluster.clock.advance(1)
        later = await cluster.jobs.BackUp(controller_pb2.BackUpRequest())
        await launch(cluster, job_id="/alice/later")
        path = Path(made.path)
        assert path.parent == tmp_path / "state" / "backups"
        assert made.bytes == path.stat().st_size > 0
        assert later.path != made.path
        with pytest.raises(AlreadyExists), rpc_errors("BackUp"):
            await cluster.jobs.BackUp(controller_pb2.BackUpRequest())
    copy = Store.open(path)
    try:
        stored = await copy.load()
    finally:
        copy.close()
    assert [(job.job_id, job.request_id) for job in stored.jobs] == [(JOB, "one")]


async def test_jobs_are_described_with_what_became_of_them(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        worker = await cluster.attached("w1")
        await launch(cluster, max_retries_failure=1)
        uid = await worker.given(f"{JOB}/0")
        placed = (await cluster.get(JOB)).placed_at
        assert placed.ToDatetime(cluster.clock.now().tzinfo) == cluster.clock.now()
        await worker.end(uid, job_pb2.TASK_FAILED, exit_code=1)
        await cluster.until(JOB, lambda job: job.retries == 1)
        await cluster.clock.advance(2)
        again = await worker.given(f"{JOB}/0", 1)
        assert (await cluster.get(JOB)).placed_at == placed, "the first time counts"
        await cluster.terminate(JOB, "enough")
        await assert_eventually(lambda: again in worker.stops, "it is told to stop")
        attempt = (await cluster.get(JOB)).tasks[0].attempts[-1]
        assert "enough" in attempt.stop_reason
