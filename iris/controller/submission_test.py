"""Which jobs are refused, and what is said about it."""

from pathlib import Path
from typing import Any

import pytest
from iris_proto import controller_pb2, job_pb2

from iris.controller.controller_fixture import running
from iris.controller.options import UnschedulablePolicy
from iris.model.errors import FailedPrecondition, InvalidArgument, IrisError
from iris.model.ids import JobId
from iris.model.pending import PendingCode, PendingReason

JOB = JobId("/alice/job")
MISFIT = PendingReason(
    PendingCode.NO_GROUP_FITS, "memory", needed="64 GiB memory", nearest="2 GiB memory in cpu"
)


@pytest.mark.parametrize(
    ("job_id", "details", "kind", "says"),
    [
        ("alice", {}, InvalidArgument, "'alice' is not a job id"),
        ("/alice/1", {}, InvalidArgument, "is not a job id"),
        (JOB, {"replicas": 0}, InvalidArgument, "replicas is 0"),
        (JOB, {"replicas": 1001}, InvalidArgument, "1,001 replicas; at most 1,000"),
        (JOB, {"env": {"A": "x" * (1 << 20)}}, InvalidArgument, "at most 1 MiB"),
        (JOB, {"env": {"IRIS_X": ""}}, InvalidArgument, "IRIS_X"),
        (JOB, {"cpu_millis": -1}, InvalidArgument, "-1 of cpu"),
        (
            JOB,
            {"entrypoint": job_pb2.Entrypoint(callable={"python": "3.11", "name": "f"})},
            InvalidArgument,
            "function f is named, and not there",
        ),
        (
            JOB,
            {"environment": job_pb2.EnvironmentSpec(python="2.7")},
            InvalidArgument,
            "no version of Python",
        ),
        (
            JOB,
            {"environment": job_pb2.EnvironmentSpec(lock_file="uv.lock")},
            FailedPrecondition,
            "lock file 'uv.lock' and has no bundle",
        ),
        (
            JOB,
            {"bundle_digest": "sha256:" + "0" * 64},
            FailedPrecondition,
            "has no bundle sha256:000.*Upload it first",
        ),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_the_reason(
    tmp_path: Path, job_id: str, details: dict[str, Any], kind: type[IrisError], says: str
) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(kind, match=says):
            await cluster.launch(job_id, **details)
        listed = await cluster.jobs.ListJobs(controller_pb2.ListJobsRequest())
        assert not listed.jobs


async def test_a_function_is_taken_up_to_its_own_bound_and_not_told_again(tmp_path: Path) -> None:
    called = job_pb2.CallableEntrypoint(pickled=b"x" * (1 << 20), python="3.11", name="train.main")
    async with running(tmp_path) as cluster:
        await cluster.launch(JOB, entrypoint=job_pb2.Entrypoint(callable=called))
        shown = (await cluster.get(JOB)).spec.entrypoint
        assert (shown.callable.name, shown.callable.pickled) == ("train.main", b"")
        assert not shown.argv
        called.pickled += b"x"
        with pytest.raises(InvalidArgument, match=r"at most 1 MiB.*bundle"):
            await cluster.launch(JOB, entrypoint=job_pb2.Entrypoint(callable=called))


async def test_what_no_group_could_run_is_refused_with_the_limiting_resource(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as cluster:
        cluster.planner.groups, cluster.planner.misfit = (), MISFIT
        with pytest.raises(FailedPrecondition, match=r"memory.*64 GiB.*2 GiB memory in cpu"):
            await cluster.launch(JOB, replicas=3, gang=True)
        (demand,) = cluster.planner.demands
        assert (demand.job_id, demand.tasks, demand.gang is None) == (JOB, 3, False)


async def test_what_no_group_could_run_waits_explained_if_the_cluster_says_so(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, unschedulable=UnschedulablePolicy.ACCEPT) as cluster:
        cluster.planner.groups, cluster.planner.misfit = (), MISFIT
        await cluster.launch(JOB)
        cluster.planner.set_outlook({JOB: MISFIT})
        job = await cluster.until(
            JOB, lambda job: job.tasks[0].pending.code == job_pb2.NO_GROUP_FITS
        )
        assert job.tasks[0].pending.subject == "memory"
        assert job.tasks[0].pending.summary == MISFIT.summary()
