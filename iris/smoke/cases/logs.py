"""Is every line there, in order, while it is written and afterwards, and no secret among them?"""

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import replace

from iris.client import LogLine, LogStream
from iris.model.ids import JobId
from iris.model.resources import MIB
from iris.smoke.case import Case, check, check_equal
from iris.smoke.context import SMALL, CaseContext
from iris.smoke.folders import Gate, gate

_LINES = 100_000


async def log_completeness(context: CaseContext) -> None:
    """100,000 lines arrive, each once and in order, at one who follows and at one who asks later;
    a secret in them does not."""
    secret = f"s3cret-{context.random().randrange(1 << 40):x}"
    with gate() as closed:
        # Only on this machine can a task wait until its first line was seen elsewhere.
        waits = [str(closed.path)] if context.cluster.started_here else []
        program = context.program(
            "flood.py", str(_LINES), *waits, resources=replace(SMALL, memory_bytes=64 * MIB)
        )
        job_id = await context.launch(replace(program, env=(("SMOKE_TOKEN", secret),)))
        follower = asyncio.create_task(_follow(context, job_id, closed))
        try:
            job = await context.succeeded(job_id)
            followed = await follower
        finally:
            follower.cancel()
    kept = await _read(context, job_id)
    check_equal(followed, kept, "what the follower had, and what is kept (lines, first, digest)")
    lines, first, digest = kept
    check_equal(first, "the secret is ***, and *** again", "the first line")
    check(job.tasks[0].attempts[-1].logs_complete, "a log that says it is complete")
    context.saw("lines", f"{lines:,} followed and kept, digest {digest[:12]}")
    context.saw("redacted", first)


async def _follow(context: CaseContext, job_id: JobId, closed: Gate) -> tuple[int, str, str]:
    """What all lines come to. The gate opens once the first one was seen."""
    summary = _Summary(str(job_id))
    async with aclosing(context.client.tail_logs(job_id, follow=True)) as lines:
        async for line in lines:
            summary.add(line)
            if summary.lines == 1:
                closed.open()
    return summary.result()


async def _read(context: CaseContext, job_id: JobId) -> tuple[int, str, str]:
    summary = _Summary(str(job_id))
    async with aclosing(context.client.tail_logs(job_id)) as lines:
        async for line in lines:
            summary.add(line)
    return summary.result()


class _Summary:
    """Checks lines as they come, and keeps none of them. What was said while the task was built is
    counted with the others, and not looked at.
    """

    def __init__(self, who: str) -> None:
        self.lines = 0
        self._who = who
        self._index = 0
        self._first = ""
        self._last = b""
        self._digest = hashlib.sha256()

    def add(self, line: LogLine) -> None:
        """Takes the next one. Raises CheckFailed if it is not the next."""
        if line.index != self._index:
            check_equal(line.index, self._index, f"the next line of {self._who} ({line.text!r})")
        self._index += 1
        if line.stream is not LogStream.STDOUT:
            return
        if self.lines == 0:
            self._first = line.text
        elif self.lines <= _LINES:
            self._digest.update(line.data + b"\n")
        else:
            self._last = line.data
        self.lines += 1

    def result(self) -> tuple[int, str, str]:
        """(lines, the first, the digest). Raises CheckFailed if lines are missing, or the task's
        own digest is another one.
        """
        check_equal(self.lines, _LINES + 2, f"lines of {self._who}")
        digest = self._digest.hexdigest()
        check_equal(self._last.decode(), f"digest {digest}", "the digest that the task wrote")
        return self.lines, self._first, digest


LOG_CASES = (
    Case(
        "log-completeness", "Every one of 100,000 lines arrives, and no secret.", log_completeness
    ),
)
