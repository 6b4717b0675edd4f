"""What was forgotten goes from the disk too, also what a crash left undone."""

import contextlib
from datetime import timedelta
from pathlib import Path

from iris_proto import job_pb2

from iris.controller.controller_fixture import running
from iris.controller.log_store import LogRun, LogStore
from iris.controller.options import Retention
from iris.model.errors import NotFound
from iris.model.ids import AttemptUid
from iris.testing.eventually import assert_eventually

JOB, TASK = "/alice/train", "/alice/train/0"
RETENTION = Retention(jobs=timedelta(hours=1), events=timedelta(hours=2))


def logs_in(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "state" / "logs").iterdir())


def bytes_in(folder: Path, uid: str) -> int:
    """Of the files that are there: one that is listed may be removed before it is looked at."""
    total = 0
    for path in (folder / "state" / "logs" / uid).iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


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
        assert logs_in(tmp_path) == [uid]
        await cluster.clock.advance(3500)
        assert not await is_gone(cluster, JOB), "it is kept for an hour"
        await cluster.clock.advance(200)
        await assert_eventually(lambda: is_gone(cluster, JOB), "the job is forgotten")
        await assert_eventually(lambda: not logs_in(tmp_path), "its logs are deleted")


async def test_logs_of_attempts_that_nobody_knows_are_deleted_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "logs"
    folder.parent.mkdir(mode=0o700)
    logs = LogStore(folder)
    await logs.append(AttemptUid("attempt-of-a-forgotten-job"), 0, [LogRun(1, 1, b"x")])
    logs.close()
    assert logs_in(tmp_path) == ["attempt-of-a-forgotten-job"]
    async with running(tmp_path):
        await assert_eventually(lambda: not logs_in(tmp_path), "it is deleted")


async def test_where_all_logs_are_too_much_the_oldest_of_ended_attempts_are_cut(
    tmp_path: Path,
) -> None:
    retention = Retention(log_bytes=300_000)
    async with running(tmp_path, retention=retention) as cluster:
        worker = await cluster.attached("w1")
        uids = []
        for name in ("runs", "ended-first", "ended-then"):
            await cluster.launch(f"/alice/{name}")
            uid = await worker.given(f"/alice/{name}/0")
            uids.append(uid)
            await worker.log(uid, 0, *["x" * 1000] * 120)
            await worker.until(lambda uid=uid: worker.next_lines.get(uid) == 120)
            if name != "runs":
                await worker.end(uid, log_lines=120)
        runs, first, then = uids
        await assert_eventually(lambda: bytes_in(tmp_path, first) == 0, "cut")
        assert bytes_in(tmp_path, runs) > 120_000
        assert bytes_in(tmp_path, then) > 120_000
        (gone,) = await cluster.logs("/alice/ended-first")
        assert gone[2:] == (
            119,
            "120 lines are gone: logs are kept only up to a size (retention.log_bytes...).",
        )
        assert len(await cluster.logs("/alice/ended-then")) == 120


async def test_logs_of_what_still_runs_are_not_cut_however_much_they_are(tmp_path: Path) -> None:
    async with running(tmp_path, retention=Retention(log_bytes=65_536)) as cluster:
        worker = await cluster.attached("w1")
        await cluster.launch(JOB)
        uid = await worker.given(TASK)
        for at in range(20):
            await worker.log(uid, at * 10, *["x" * 1000] * 10)
        await worker.until(lambda: worker.next_lines.get(uid) == 200)
        assert len(await cluster.logs(JOB)) == 200
        await worker.end(uid, log_lines=200)
        await cluster.ended(JOB)

        async def is_cut_next_time() -> bool:
            # More than once: what it looks at just now it may have begun to look at before the end.
            await cluster.clock.advance(601)
            return bytes_in(tmp_path, uid) == 0

        await assert_eventually(is_cut_next_time, "cut once it has ended")
