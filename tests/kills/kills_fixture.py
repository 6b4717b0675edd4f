"""For tests: 100 tasks whose results and lines are known beforehand, and kills at random moments."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from iris.client.client import Client
from iris.client.views import JobView
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.resources import GIB, MIB, Resources
from iris.model.states import JobState, TaskState
from tests.pair.pair_fixture import Program

TASKS = 100
KILLS = 50
# Two tasks at once, and how long one takes: most of them meet a kill.
TOTAL = Resources(2000, GIB)
_SECONDS = 0.25
_LINES = 30
_PATIENCE = timedelta(minutes=4)


@dataclass(frozen=True, slots=True)
class Expected:
    """One task, and how it has to end."""

    job_id: JobId
    exit_code: int
    lines: tuple[bytes, ...]

    def spec(self) -> JobSpec:
        """Of a job of that task alone."""
        script = (
            f"for n in $(seq {len(self.lines)}); do echo {self.job_id} $n; done; "
            f"sleep {_SECONDS}; exit {self.exit_code}"
        )
        return JobSpec(Entrypoint(("/bin/sh", "-c", script)), Resources(1000, 16 * MIB))


def expected() -> Iterator[Expected]:
    """All of them."""
    for number in range(TASKS):
        job_id = JobId(f"/u/job-{number}")
        lines = tuple(b"%s %d" % (job_id.encode(), line) for line in range(1, _LINES + 1))
        yield Expected(job_id, 7 if number % 10 == 3 else 0, lines)


async def submit(client: Client) -> None:
    """All of them."""
    for one in expected():
        await client.launch(one.job_id, one.spec())


async def kill_often(
    victim: Program, chance: Random, is_over: Callable[[], Awaitable[bool]]
) -> int:
    """Kills it at random moments, in the middle of starting too, and starts it anew each time, until
    it has been killed KILLS times or the work is over; how often it was.
    """
    for kills in range(KILLS):
        if await is_over():
            return kills
        if chance.random() < 0.8:
            await victim.until_ready()
        # The moment is what is random here; nothing is waited for.
        await asyncio.sleep(chance.uniform(0, 2 * _SECONDS))
        await victim.kill()
        await victim.start()
    await victim.until_ready()
    return KILLS


async def check_all(client: Client) -> list[JobView]:
    """Every task ends once, with its true result and its complete log; the jobs."""
    jobs = []
    for one in expected():
        job = await client.wait(one.job_id, timeout=_PATIENCE)
        (task,) = job.tasks
        last = task.last_attempt
        assert last is not None
        succeeded = one.exit_code == 0
        assert job.state is (JobState.SUCCEEDED if succeeded else JobState.FAILED), job
        assert last.state is (TaskState.SUCCEEDED if succeeded else TaskState.FAILED), job
        assert (last.exit_code, last.signal) == (one.exit_code, None), job
        assert last.logs_complete, job
        # All before were ended by something else than the task.
        assert {attempt.state for attempt in task.attempts[:-1]} <= {TaskState.WORKER_FAILED}, job
        lines = [
            line.data
            async for line in client.tail_logs(one.job_id)
            if line.attempt == last.number and line.stream.value == "stdout"
        ]
        assert tuple(lines) == one.lines, job
        jobs.append(job)
    return jobs
