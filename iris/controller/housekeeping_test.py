"""What was forgotten goes from the disk too, also what a crash left undone."""

from datetime import timedelta
from pathlib import Path

from iris_proto import job_pb2

from iris.controller.controller_fixture import running
from iris.controller.log_store import LogStore
from iris.controller.log_store.line import StoredLine
from iris.controller.options import Retention
from iris.model.errors import NotFound
from iris.model.ids import AttemptUid
from iris.testing.eventually import assert_eventually

JOB, TASK = "/alice/train", "/alice/train/0"
RETENTION = Retention(jobs=timedelta(hours=1), events=timedelta(hours=2))


def logs_in(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "state" / "logs").glob("*.log"))


async def is_gone(cluster: object, job_id: str) -> bool:
    try:
        await cluster.get(job_id)  # type: ignore[attr-defined]
    except NotFound:
        return True
    return False


async def test_an_ended_job_is_forgotten_after_its_retention_and_its_logs_with_it(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, retention=RETENTION) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(TASK)
        await worker.log(uid, 0, "a", "b")
        await worker.end(uid)
        assert (await cluster.ended(JOB)).state == job_pb2.JOB_SUCCEEDED
        assert logs_in(tmp_path) == [f"{uid}.log"]
        await cluster.clock.advance(3500)
        assert not await is_gone(cluster, JOB), "it is kept for an hour"
        await cluster.clock.advance(200)
        await assert_eventually(lambda: is_gone(cluster, JOB), "the job is forgotten")
        await assert_eventually(lambda: not logs_in(tmp_path), "its logs are deleted")


async def test_logs_of_attempts_that_nobody_knows_are_deleted_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "logs"
    folder.parent.mkdir(mode=0o700)
    logs = LogStore(folder)
    await logs.append(AttemptUid("attempt-of-a-forgotten-job"), 0, [StoredLine(1, 1, b"x")])
    logs.close()
    assert logs_in(tmp_path) == ["attempt-of-a-forgotten-job.log"]
    async with running(tmp_path):
        await assert_eventually(lambda: not logs_in(tmp_path), "it is deleted")
