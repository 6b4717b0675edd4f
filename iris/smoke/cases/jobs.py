"""Do jobs really run: their output, their exit codes, their logs, and their end when they are told to end?"""

import json
from dataclasses import replace
from datetime import timedelta

from iris.client import LogStream
from iris.host.processes import all_processes, process_strings
from iris.model.job import Gang
from iris.model.resources import MIB, Resources
from iris.model.states import JobState, TaskState
from iris.smoke.case import Case, check, check_equal
from iris.smoke.context import CaseContext, lines_with, with_replicas

GANG_OF_FOUR = "gang-of-four"
LOCAL_PROCESSES = "local-processes"
GANG_VARIANT = "v5litepod-16"
_SHORT_GRACE = timedelta(seconds=0.3)


async def hello(context: CaseContext) -> None:
    """One task runs a program of the bundle; what it printed comes back on the right streams."""
    job = await context.run_to_success(context.program("hello.py", "one", "two words"))
    lines = await context.logs(job.job_id, stream=LogStream.STDOUT)
    check(f"hello from {job.job_id}/0" in lines, "the greeting", lines)
    check_equal(
        lines_with(lines, "marker:"),
        ["a file from the workspace bundle"],
        "the file beside the program",
    )
    check_equal(lines_with(lines, "arguments:"), ["['one', 'two words']"], "the arguments")
    check_equal(
        await context.logs(job.job_id, stream=LogStream.STDERR), ["to stderr as well"], "stderr"
    )
    check_equal([attempt.exit_code for attempt in job.tasks[0].attempts], [0], "exit codes")
    context.saw("output", lines[0])


async def three_at_once(context: CaseContext) -> None:
    """Three tasks of one job, each with its own index, attempt and process."""
    job = await context.run_to_success(with_replicas(context.program("identify.py"), 3))
    said = [json.loads(line) for line in await context.logs(job.job_id, stream=LogStream.STDOUT)]
    check_equal(
        sorted(one["IRIS_TASK_INDEX"] for one in said), ["0", "1", "2"], "the tasks' indices"
    )
    check_equal(
        {one["IRIS_NUM_TASKS"] for one in said}, {"3"}, "the number of tasks they were told"
    )
    check_equal(len({one["IRIS_ATTEMPT_ID"] for one in said}), 3, "different attempts")
    context.saw(
        "tasks", ", ".join(f"{one['IRIS_TASK_ID']} on {one['IRIS_WORKER_ID']}" for one in said)
    )


async def gang_of_four(context: CaseContext) -> None:
    """Four tasks start together on one slice: they meet, with one tpu-name and worker ids 0 to 3 in order."""
    port = context.ports.lease("meeting").hand_over()
    chips = Resources(50, 32 * MIB, 0, ((f"tpu/{GANG_VARIANT}", 4),))
    spec = context.program("meet.py", str(port), resources=chips)
    job = await context.run_to_success(replace(spec, replicas=4, gang=Gang("tpu-name")))
    meetings = lines_with(await context.logs(job.job_id, stream=LogStream.STDOUT), "met")
    check_equal(len(meetings), 4, "members who met")
    everyone = json.loads(meetings[0])
    names = {member["TPU_NAME"] for member in everyone}
    check(len(names) == 1 and None not in names, "one tpu-name", names)
    pairs = sorted((member["IRIS_TASK_INDEX"], member["TPU_WORKER_ID"]) for member in everyone)
    check_equal(pairs, [(str(i), str(i)) for i in range(4)], "task i on TPU worker i")
    workers = {task.attempts[-1].worker_id for task in job.tasks}
    check_equal(len(workers), 4, "different workers")
    context.saw("slice", f"{names.pop()}: {', '.join(sorted(workers))}")


async def failure_explained(context: CaseContext) -> None:
    """A failing job gives its exit code, its last lines, and a job that says which task it was."""
    job = await context.run(context.program("fail.py", "7"))
    check_equal(job.state, JobState.FAILED, "the job's state")
    attempt = job.tasks[0].attempts[-1]
    check_equal((attempt.exit_code, attempt.signal), (7, None), "exit code and signal")
    last = (await context.logs(f"{job.job_id}/0", stream=LogStream.STDERR))[-1]
    check_equal(last, "the reason: this is what the last line says", "the last line")
    check(
        "0" in job.error and "7" in job.error, "an error that names task and exit code", job.error
    )
    check_equal(len(job.tasks[0].attempts), 1, "attempts (no retries were asked for)")
    context.saw("error", job.error)


async def cancel_stubborn_tree(context: CaseContext) -> None:
    """Cancelling kills a whole tree that ignores SIGTERM, also its daemon, and gives the worker's resources back."""
    spec = replace(context.program("stubborn.py"), stop_grace=_SHORT_GRACE)
    job_id = context.job_id()
    await context.client.launch(job_id, spec)
    await context.first_line(job_id, r"^tree \d+ \d+ \d+ \d+")
    # By their environment: what they take for their pids are those of their own PID namespace.
    mark = f"IRIS_JOB_ID={job_id}"
    tree = [one for one in all_processes() if mark in process_strings(one, "environ")]
    check_equal(len(tree), 4, "processes alive before the end")
    await context.client.terminate(job_id, "smoke: cancel")
    job = await context.client.wait(job_id)
    check_equal(job.state, JobState.KILLED, "the job's state")
    check_equal(job.tasks[0].state, TaskState.KILLED, "the task's state")
    alive = [one for one in tree if one.is_alive()]
    check(not alive, "no process of the tree once the task is KILLED", alive)
    context.saw("killed", ", ".join(map(str, tree)))


JOB_CASES = (
    Case("hello", "A program runs out of the workspace bundle.", hello),
    Case("three-at-once", "Three tasks of one job run side by side.", three_at_once),
    Case(
        "gang-of-four",
        "A gang starts together on one slice.",
        gang_of_four,
        needs=frozenset({GANG_OF_FOUR}),
    ),
    Case("failure-explained", "A failing job says how and why.", failure_explained),
    Case(
        "cancel-stubborn-tree",
        "Cancelling ends a process tree that ignores SIGTERM.",
        cancel_stubborn_tree,
        needs=frozenset({LOCAL_PROCESSES}),
    ),
)
