"""What programs do from inside of their tasks: child jobs, endpoints, calls between tasks, checkpoints."""

import json
from dataclasses import replace

from iris.client import LogStream
from iris.model.ids import JobId
from iris.model.priority import PriorityBand
from iris.model.states import JobState, TaskState
from iris.smoke.case import Case, check_equal
from iris.smoke.context import CaseContext, lines_with, with_replicas
from iris.smoke.folders import gate
from iris.smoke.groups import CHECKPOINT, IMPORTING_TASK, INSIDE
from iris.smoke.needs import LOCAL_PROCESSES, STARTED_HERE, group_need

_STEPS, _PAUSE_AT = 6, 4


async def nested_child_jobs(context: CaseContext) -> None:
    """A task submits a child job whose task submits another; outputs come back up."""
    program = context.program("family.py", "2", resources=IMPORTING_TASK)
    job = await context.run_to_success(INSIDE.only(context.with_iris(program)))
    lines = await context.logs(job.job_id, stream=LogStream.STDOUT)
    (said,) = lines_with(lines, "family")
    child, grandchild = f"{job.job_id}/child", f"{job.job_id}/child/child"
    expected = {job.job_id: "depth 2", child: "depth 1", grandchild: "depth 0"}
    check_equal(json.loads(said), expected, "what three generations said")
    for below in (child, grandchild):
        state = (await context.client.get(JobId(below))).state
        check_equal(state, JobState.SUCCEEDED, f"the state of {below}")
    context.saw("generations", said)


async def endpoints_and_actors(context: CaseContext) -> None:
    """Tasks find each other by an endpoint and call each other's methods; errors come back whole."""
    with gate() as closed:
        program = context.program("meters.py", str(closed.path), resources=IMPORTING_TASK)
        job_id = await context.launch(INSIDE.only(with_replicas(context.with_iris(program), 3)))
        name = f"{job_id}/meter"

        async def there() -> bool:
            over = (await context.client.get(job_id)).state.is_terminal
            return over or bool(await context.client.endpoints(name))

        await context.until(there, every=0.05)
        found = await context.client.endpoints(name)
        closed.open()
        job = await context.succeeded(job_id)
    check_equal([one.name for one in found], [name], "endpoints while the tasks ran")
    lines = await context.logs(job_id, stream=LogStream.STDOUT)
    # Tasks 1 and 2 each add their index times 1 to 10.
    check_equal(lines_with(lines, "total"), [str(55 + 110)], "the total")
    told = sorted(lines_with(lines, "told"))
    check_equal(
        [json.loads(one) for one in told],
        [
            {"error": f"not for {index}", "trace": True, "private": "AttributeError"}
            for index in (1, 2)
        ],
        "what callers were told",
    )
    check_equal(await context.client.endpoints(name), (), "endpoints once the tasks have ended")
    check_equal(job.count(TaskState.SUCCEEDED), 3, "tasks that succeeded")
    context.saw("endpoint", f"{name} at {found[0].address}")
    context.saw("total", 165)


async def checkpoint_and_restore(context: CaseContext) -> None:
    """A task publishes a checkpoint, loses its place, and goes on from there on its next attempt."""
    program = context.program("steps.py", str(_STEPS), str(_PAUSE_AT), resources=IMPORTING_TASK)
    spec = replace(CHECKPOINT.only(context.with_iris(program)), priority=PriorityBand.BATCH)
    job_id = await context.launch(spec)
    await context.first_line(job_id, "^ready after")
    everything = replace(CHECKPOINT.resources, disk_bytes=0)
    urgent = CHECKPOINT.only(context.program("identify.py", resources=everything))
    await context.run_to_success(replace(urgent, priority=PriorityBand.PRODUCTION), suffix="urgent")
    job = await context.succeeded(job_id)
    ends = [attempt.state for attempt in job.tasks[0].attempts]
    check_equal(ends, [TaskState.PREEMPTED, TaskState.SUCCEEDED], "the attempts")
    lines = await context.logs(job_id, stream=LogStream.STDOUT)
    check_equal(lines_with(lines, "begins at"), ["0", str(_PAUSE_AT)], "where they began")
    (steps,) = lines_with(lines, "steps")
    expected = [0] * _PAUSE_AT + [1] * (_STEPS - _PAUSE_AT)
    check_equal(json.loads(steps), expected, "by which attempt each step was made")
    context.saw("steps by attempt", steps)


_NEEDS = frozenset({LOCAL_PROCESSES, group_need(INSIDE)})

INSIDE_CASES = (
    Case("nested-child-jobs", "Tasks submit jobs, three generations of them.", nested_child_jobs, needs=_NEEDS),
    Case("endpoints-and-actors", "Tasks find and call each other.", endpoints_and_actors, needs=_NEEDS),
    Case(
        "checkpoint-and-restore",
        "A task goes on from its checkpoint after it was preempted.",
        checkpoint_and_restore,
        needs=frozenset({STARTED_HERE, group_need(CHECKPOINT)}),
    ),
)  # fmt: skip
