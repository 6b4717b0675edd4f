"""A job under the eyes of whoever started it: its state below, its output above, until it has
ended.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta

from rich.console import RenderableType
from rich.spinner import Spinner
from rich.text import Text

from iris.cli.progress import live_progress, progress_sentence
from iris.cli.terminal import Terminal
from iris.client import Client, JobView, LogLine
from iris.host.clock import Clock
from iris.model.ids import index_of
from iris.model.states import JobState

# A job is over only when its log has arrived, so this much is left to be read at most; then it is
# said.
_LAST_LINES_WITHIN = timedelta(seconds=15)
# Tasks that are described in the live picture.
_TASKS_WATCHED = 32


async def follow_job(
    client: Client,
    job: JobView,
    terminal: Terminal,
    *,
    clock: Clock,
    interrupted: Callable[[], Awaitable[None]],
    on_interrupt: Callable[[], Awaitable[None]],
) -> JobView:
    """Shows a job's progress and output until its end, which it returns.

    Args:
        interrupted: Returns when the person wants no more.
        on_interrupt: What is done then; the job is followed on to its end.
    """
    follower = _Follower(client, job, terminal, clock)
    with terminal.live(follower.render):
        return await follower.run(interrupted, on_interrupt)


class _Follower:
    def __init__(self, client: Client, job: JobView, terminal: Terminal, clock: Clock) -> None:
        self._client = client
        self._job = job
        self._terminal = terminal
        self._clock = clock
        self._spinner = Spinner("dots", style="cyan")
        self._said = ""

    def render(self) -> RenderableType:
        """The live picture now."""
        if self._job.state.is_terminal:
            return Text("")
        return live_progress(self._job, self._clock.now(), self._spinner)

    async def run(
        self,
        interrupted: Callable[[], Awaitable[None]],
        on_interrupt: Callable[[], Awaitable[None]],
    ) -> JobView:
        async def interrupt() -> None:
            await interrupted()
            await on_interrupt()

        async with asyncio.TaskGroup() as group:
            output = group.create_task(self._print_output())
            interrupting = group.create_task(interrupt())
            await self._watch()
            _, late = await asyncio.wait({output}, timeout=_LAST_LINES_WITHIN.total_seconds())
            if late:
                output.cancel()
                self._terminal.note(
                    "the job is over, but the rest of its output has not come; `job logs` may show it"
                )
            interrupting.cancel()
        return self._job

    async def _watch(self) -> None:
        async with aclosing(self._client.watch(self._job.job_id, max_tasks=_TASKS_WATCHED)) as jobs:
            async for job in jobs:
                self._job = job
                sentence = progress_sentence(job)
                if (
                    not self._terminal.is_live
                    and sentence != self._said
                    and job.state in _UNDER_WAY
                ):
                    self._terminal.note(sentence)
                    self._said = sentence

    async def _print_output(self) -> None:
        async with aclosing(self._client.tail_logs(self._job.job_id, follow=True)) as lines:
            async for line in lines:
                self._terminal.log_line(line, line_prefix(line, self._job.spec.replicas))


_UNDER_WAY = (JobState.PENDING, JobState.RUNNING)


def line_prefix(line: LogLine, tasks: int) -> str:
    """Which task wrote it, where there are several; and which attempt, from the second on."""
    attempt = f"#{line.attempt + 1}" if line.attempt else ""
    if tasks == 1 and not attempt:
        return ""
    return f"[{index_of(line.task_id)}{attempt}] "


async def last_lines(client: Client, task_id: str, attempt: int, count: int = 10) -> list[LogLine]:
    """The end of one attempt's log."""
    async with aclosing(client.tail_logs(task_id, tail=count)) as lines:
        found = [line async for line in lines if line.attempt == attempt]
    return found[-count:]
