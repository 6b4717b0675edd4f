"""Does the work survive its controller: one that is killed, and one that is replaced in good order?

These cases are alone in their phases, for everything on the cluster feels them. What has to survive are jobs in every
state, which they bring themselves, and all that the cases before have left.
"""

import asyncio
import re
import time

from iris.client import Client, JobView, LogStream
from iris.model.errors import IrisError
from iris.model.ids import JobId
from iris.model.states import JobState, TaskState
from iris.smoke.case import Case, CheckFailed, Phase, check, check_equal
from iris.smoke.context import PATIENCE, CaseContext, with_replicas
from iris.smoke.folders import gate
from iris.smoke.groups import ONE, PROCESS
from iris.smoke.needs import KEPT_STATE, STARTED_HERE, group_need

_ACCEPTED_LAST = 10
_MANY = 10_000


async def controller_killed(context: CaseContext) -> None:
    """The controller is killed with jobs running, waiting and just accepted. The next one knows all
    of them, and all that was before; each ends with its true result.
    """
    control = context.cluster.control
    assert control is not None
    with gate() as closed:
        running = await context.launch(
            ONE.only(context.program("gated.py", str(closed.path))), suffix="running"
        )
        await context.first_line(running, "^ready attempt=0")
        waiting = await context.launch(ONE.only(context.program("hello.py")), suffix="waiting")
        before = await _all_jobs(context)
        late = with_replicas(context.program("identify.py"), 2)
        accepted = [
            await context.launch(late, suffix=f"accepted-{number}")
            for number in range(_ACCEPTED_LAST)
        ]
        pid = await asyncio.to_thread(control.kill)
        context.did(f"controller (pid {pid}) killed")
        await _expect_silence(context)
        began = time.monotonic()
        cluster = await asyncio.to_thread(control.start)
        back = time.monotonic() - began
        closed.open()
        async with context.at(cluster) as after:
            await _check_kept(after, before)
            ended = [await after.succeeded(job_id) for job_id in (running, waiting, *accepted)]
            await _check_ran(after, ended)
    context.saw("killed", f"pid {pid}; the next one answered after {back:.2f} s")
    context.saw("kept", f"{len(before)} jobs of before, {len(accepted)} accepted last")
    attempts = [attempt.state.value for attempt in ended[0].tasks[0].attempts]
    context.saw("the running task's attempts", ", ".join(attempts))


async def _check_kept(context: CaseContext, before: dict[JobId, JobView]) -> None:
    """What had ended stays as it was; what had not is known."""
    now = await _all_jobs(context)
    lost = sorted(before.keys() - now.keys())
    check(not lost, "every job that there was before", lost)
    changed = [
        f"{job_id}: {job.state.value}, now {now[job_id].state.value}"
        for job_id, job in before.items()
        if job.state.is_terminal and now[job_id].state is not job.state
    ]
    check(not changed, "every end as it was", changed)


async def _check_ran(context: CaseContext, jobs: list[JobView]) -> None:
    """Each task succeeded by its last attempt, and wrote what it had to."""
    for job in jobs:
        for task in job.tasks:
            last = task.attempts[-1]
            check_equal(last.state, TaskState.SUCCEEDED, f"the last attempt of {task.task_id}")
            lines = await context.logs(task.task_id, stream=LogStream.STDOUT)
            check(lines, f"lines of {task.task_id}", lines)


async def _expect_silence(context: CaseContext) -> None:
    async with Client.connect(context.cluster.address, context.cluster.token) as client:
        try:
            health = await client.health()
        except IrisError:
            return
    raise CheckFailed(f"a controller that was killed answered: {health}")


async def _all_jobs(context: CaseContext) -> dict[JobId, JobView]:
    jobs = await context.client.list_jobs(f"/smoke/{context.prefix}-", limit=_MANY)
    return {job.job_id: job for job in jobs}


async def reload(context: CaseContext) -> None:
    """The controller becomes another one, of the present code, while a task runs on a worker that is
    a process: the task goes on in its one attempt, and no line of it is missing.
    """
    control = context.cluster.control
    assert control is not None
    before = (await context.client.health(PATIENCE)).incarnation_id
    with gate() as closed:
        job_id = await context.launch(PROCESS.only(context.program("gated.py", str(closed.path))))
        await context.first_line(job_id, "^tick 3")
        context.did("controller reloaded")
        began = time.monotonic()
        cluster = await asyncio.to_thread(control.reload)
        back = time.monotonic() - began
        async with context.at(cluster) as after:
            incarnation = (await after.client.health(PATIENCE)).incarnation_id
            check(incarnation != before, "another controller", incarnation)
            closed.open()
            job = await after.succeeded(job_id)
            lines = await after.logs(job_id, stream=LogStream.STDOUT)
    attempts = [attempt.state for attempt in job.tasks[0].attempts]
    check_equal(attempts, [TaskState.SUCCEEDED], "the task's attempts")
    check_equal(lines[0], "ready attempt=0", "the task's first line")
    said = re.fullmatch(r"done after (\d+)", lines[-1])
    check(said, "the task's last line", lines[-1])
    assert said is not None
    check_equal(
        lines[1:-1], [f"tick {number}" for number in range(int(said[1]))], "the task's lines"
    )
    check_equal(job.state, JobState.SUCCEEDED, "the job's state")
    context.saw("back", f"after {back:.2f} s; one attempt, {len(lines)} lines, none missing")


CONTROLLER_CASES = (
    Case(
        "controller-killed",
        "What was accepted survives the controller's crash.",
        controller_killed,
        Phase.CRASH,
        frozenset({STARTED_HERE, KEPT_STATE, group_need(ONE)}),
    ),
    Case(
        "reload",
        "A task is finished although its controller is replaced.",
        reload,
        Phase.RELOAD,
        frozenset({STARTED_HERE, group_need(PROCESS)}),
    ),
)
