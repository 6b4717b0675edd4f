"""A controller that is killed again and again loses no task, no result and no line; and no task is
run twice because of it.
"""

from pathlib import Path
from random import Random

from tests.kills.kills_fixture import KILLS, TOTAL, check_all, expected, kill_often, submit
from tests.pair.pair_fixture import pair


async def test_every_task_ends_once_whenever_the_controller_is_killed(
    tmp_path: Path, test_seed: str
) -> None:
    print(f"seed {test_seed}")
    async with pair(tmp_path, TOTAL) as both:
        await submit(both.client)

        async def is_over() -> bool:
            return False

        assert await kill_often(both.controller, Random(test_seed), is_over) == KILLS
        jobs = await check_all(both.client)
    assert len(jobs) == len(list(expected()))
    again = [job.tasks for job in jobs if len(job.tasks[0].attempts) > 1]
    assert again == []
