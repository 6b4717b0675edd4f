"""A real worker behind a link that is slow or breaks: does its work arrive, once, and are its results never lost?"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from iris.client import LogStream
from iris.model.ids import JobId
from iris.model.job import Entrypoint, JobSpec
from iris.model.states import TaskState
from iris.smoke.case import Case, check, check_equal
from iris.smoke.context import SMALL, CaseContext
from iris.smoke.folders import Gate, folder_with, gate
from iris.smoke.groups import LOSSY_LINK, SLOW_LINK, SmokeGroup
from iris.smoke.joined import joined_name, joined_worker
from iris.smoke.needs import KEPT_STATE, group_need
from iris.smoke.slow_link import SlowLink

# It travels in messages of 1 MiB, of which the first is there when the connection breaks.
_BUNDLE_BYTES = 2 << 20
_BREAKS_AT = 3 << 19
_RATE = 3 << 20
_PROGRAM = b"""
import hashlib, pathlib
data = pathlib.Path("content").read_bytes()
print(f"digest {hashlib.sha256(data).hexdigest()} of {len(data)} bytes", flush=True)
"""


@asynccontextmanager
async def linked_worker(
    context: CaseContext, group: SmokeGroup
) -> AsyncIterator[tuple[SlowLink, JobSpec]]:
    """A worker of this case's own, and a job (a greeting) that runs on it and nowhere else."""
    async with (
        SlowLink(context.cluster.address) as link,
        joined_worker(context, group, link.address),
    ):
        try:
            yield link, group.only(context.program("hello.py"))
        finally:
            link.let_go()
            link.rate, link.up_open, link.down_open = 0, True, True


async def slow_bundle_download(context: CaseContext) -> None:
    """A bundle comes slowly, the connection breaks in the middle, and the rest is fetched: not one
    byte is wrong.
    """
    random = context.random()
    content = random.randbytes(_BUNDLE_BYTES)
    with folder_with({"content": content, "digest.py": _PROGRAM}) as folder:
        digest = (await context.client.upload_bundle(folder)).digest
    async with linked_worker(context, SLOW_LINK) as (link, like):
        link.rate = _RATE
        link.hold_at = link.came_down + _BREAKS_AT
        argv = (context.python, "-I", "-S", "digest.py")
        spec = replace(like, entrypoint=Entrypoint(argv), bundle_digest=digest, resources=SMALL)
        job_id = await context.launch(spec)
        await context.until(lambda: link.came_down >= link.hold_at)

        async def building() -> bool:
            # The worker has said so before it asked for the bundle; nothing has the controller hear it first.
            return (await context.client.get(job_id)).count(TaskState.BUILDING) == 1

        await context.until(building)
        await link.cut()
        link.let_go()
        context.did("connection cut during the download")
        await context.succeeded(job_id)
        built = await context.logs(job_id, stream=LogStream.BUILD)
        said = await context.logs(job_id, stream=LogStream.STDOUT)
    expected = f"digest {hashlib.sha256(content).hexdigest()} of {len(content)} bytes"
    check_equal(said, [expected], "what the task read")
    stopped = [line for line in built if line.startswith("The download stopped at")]
    check(stopped, "a line that says where the download stopped", built)
    context.saw("resumed", stopped[0].partition(": ")[0])
    context.saw("content", said[0])


async def lost_and_doubled_report(context: CaseContext) -> None:
    """The report that a task has ended is lost, and another one is made twice: each task has ended
    once, with its true result.
    """
    async with linked_worker(context, LOSSY_LINK) as (link, like):
        for kind in ("lost", "doubled"):
            with gate() as closed:
                await _once(context, link, like, closed, kind=kind)


async def _once(
    context: CaseContext, link: SlowLink, like: JobSpec, closed: Gate, *, kind: str
) -> None:
    argv = (*like.entrypoint.argv[:3], "iris/smoke/programs/gated.py", str(closed.path))
    spec = replace(like, entrypoint=Entrypoint(argv))
    job_id = await context.launch(spec, suffix=kind)
    await context.first_line(job_id, "^ready")
    await _lose(context, link, job_id, kind, closed)
    before = len(_returns(context))
    await link.cut()
    context.did(f"connection cut, report {kind}")
    link.up_open = link.down_open = True
    (told, *_) = await context.until(lambda: _returns(context)[before:])
    job = await context.succeeded(job_id)
    check(not told.endswith(" 0 attempts"), "a worker that tells of the end once more", told)
    check_equal(len(job.tasks[0].attempts), 1, f"attempts of the {kind} report's task")
    check_equal(job.tasks[0].attempts[0].exit_code, 0, "its exit code")
    lines = await context.logs(job_id, stream=LogStream.STDOUT)
    check_equal(lines[-1], f"done after {len(lines) - 2}", "the last of its lines")
    context.saw(kind, f"1 attempt, exit code 0, {len(lines)} lines; {told}")


def _returns(context: CaseContext) -> list[str]:
    """What the controller's log says of every time that the worker came or came back."""
    assert context.cluster.state_dir is not None
    log = (context.cluster.state_dir / "controller.log").read_text()
    worker_id = re.escape(joined_name(LOSSY_LINK))
    return re.findall(rf"worker {worker_id} attached with \d+ attempts", log)


async def _lose(
    context: CaseContext, link: SlowLink, job_id: JobId, kind: str, closed: Gate
) -> None:
    """Has the task end, and its report (`lost`) or the answer to it (`doubled`) vanish on the way."""
    before = link.lost
    if kind == "lost":
        link.up_open = False
        closed.open()
        await context.until(lambda: link.lost > before)
        # Its last line and its end are two messages at most.
        await asyncio.sleep(0.1)
        state = (await context.client.get(job_id)).state
        check(not state.is_terminal, "a job of whose end nobody has heard", state)
    else:
        link.down_open = False
        closed.open()
        await context.client.wait(job_id)
        await context.until(lambda: link.lost > before)


LINK_CASES = (
    Case(
        "slow-bundle-download",
        "A bundle that comes slowly and in pieces arrives whole.",
        slow_bundle_download,
        needs=frozenset({KEPT_STATE, group_need(SLOW_LINK)}),
    ),
    Case(
        "lost-and-doubled-report",
        "A report that is lost or made twice changes nothing.",
        lost_and_doubled_report,
        needs=frozenset({KEPT_STATE, group_need(LOSSY_LINK)}),
    ),
)
