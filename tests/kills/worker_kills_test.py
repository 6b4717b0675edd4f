"""A worker that is killed again and again loses no task, no result and no line."""

from pathlib import Path
from random import Random

from tests.kills.kills_fixture import KILLS, TOTAL, check_all, expected, kill_often, submit
from tests.pair.pair_fixture import pair


async def test_every_task_ends_once_whenever_its_worker_is_killed(
    tmp_path: Path, test_seed: str
) -> None:
    print(f"seed {test_seed}")
    async with pair(tmp_path, TOTAL) as both:
        await submit(both.client)

        async def is_over() -> bool:
            jobs = await both.client.list_jobs(active_only=True)
            return not jobs

        assert await kill_often(both.worker, Random(test_seed), is_over) == KILLS
        jobs = await check_all(both.client)
    assert len(jobs) == len(list(expected()))
    assert any(len(job.tasks[0].attempts) > 1 for job in jobs), "no kill has met a task"
