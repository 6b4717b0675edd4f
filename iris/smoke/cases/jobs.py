"""Do jobs really run: their output, their exit codes, their logs, and their end when they are told to end?"""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

from iris.client import Client, LogStream
from iris.model.job import Entrypoint, Gang, JobSpec
from iris.model.resources import MIB, Resources
from iris.model.states import JobState, TaskState
from iris.smoke.callables import sum_of_squares
from iris.smoke.case import Case, check, check_equal
from iris.smoke.cases.machines import processes_of
from iris.smoke.context import SMALL, CaseContext, lines_with, with_replicas
from iris.smoke.groups import GANG_VARIANT, ONE, tolerant
from iris.smoke.needs import GANG_OF_FOUR, LOCAL_PROCESSES, group_need

_BURST = 500
_TINY = Resources(cpu_millis=200, memory_bytes=8 * MIB)
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


async def inline_callable(context: CaseContext) -> None:
    """A function travels with its arguments and is called in the task."""
    numbers = tuple(context.random().randrange(1000) for _ in range(10))
    spec = JobSpec(sum_of_squares(numbers), SMALL)
    job = await context.run_to_success(spec)
    (line,) = await context.logs(job.job_id, stream=LogStream.STDOUT)
    expected = sum(number * number for number in numbers)
    check(line.startswith(f"sum of squares {expected} in pid "), f"the sum {expected}", line)
    context.saw("output", line)


async def retries_then_success(context: CaseContext) -> None:
    """A task that fails is run again, after a pause, and its success counts."""
    spec = replace(context.program("retry.py"), max_retries_failure=2)
    job = await context.run_to_success(spec)
    first, second = job.tasks[0].attempts
    check_equal((first.state, first.exit_code), (TaskState.FAILED, 3), "the first attempt")
    check_equal((second.state, second.exit_code), (TaskState.SUCCEEDED, 0), "the second attempt")
    lines = await context.logs(job.job_id, stream=LogStream.STDOUT)
    check_equal(sorted(lines), ["attempt 0", "attempt 1"], "what the attempts wrote")
    assert first.finished_at is not None and second.assigned_at is not None
    pause = (second.assigned_at - first.finished_at).total_seconds()
    check(pause >= 0.25, "a pause before the retry", pause)
    context.saw("attempts", f"0 failed with code 3, 1 succeeded {pause:.2f} s later")


async def gang_of_four(context: CaseContext) -> None:
    """Four tasks start together on one slice: they meet, with one tpu-name and worker ids 0 to 3 in
    order, and each ends up with the sum of what all of them brought.
    """
    port = context.ports.lease("meeting").hand_over()
    chips = Resources(100, 32 * MIB, 0, ((f"tpu/{GANG_VARIANT}", 4),))
    spec = context.program("all_reduce.py", str(port), resources=chips)
    job = await context.run_to_success(tolerant(replace(spec, replicas=4, gang=Gang("tpu-name"))))
    said = lines_with(await context.logs(job.job_id, stream=LogStream.STDOUT), "reduced")
    check_equal(len(said), 4, "members that finished")
    members = [json.loads(line) for line in said]
    names = {member["TPU_NAME"] for member in members}
    check(len(names) == 1 and None not in names, "one tpu-name", names)
    pairs = sorted((member["IRIS_TASK_INDEX"], member["TPU_WORKER_ID"]) for member in members)
    check_equal(pairs, [(str(i), str(i)) for i in range(4)], "task i on TPU worker i")
    # Member i brings (i + 1) * (1, 2, .. 8).
    expected = [10 * position for position in range(1, 9)]
    sums = [member["sum"] for member in members]
    check_equal(sums, [expected] * 4, "the sum that every member has")
    workers = {task.attempts[-1].worker_id for task in job.tasks}
    check_equal(len(workers), 4, "different workers")
    context.saw("slice", f"{names.pop()}: {', '.join(sorted(workers))}")
    context.saw("sum", expected)


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
    spec = ONE.only(replace(context.program("stubborn.py"), stop_grace=_SHORT_GRACE))
    job_id = await context.launch(spec)
    await context.first_line(job_id, r"^tree \d+ \d+ \d+ \d+")
    tree = processes_of(job_id)
    check_equal(len(tree), 4, "processes alive before the end")
    await context.client.terminate(job_id, "smoke: cancel")
    job = await context.client.wait(job_id)
    check_equal(job.state, JobState.KILLED, "the job's state")
    check_equal(job.tasks[0].state, TaskState.KILLED, "the task's state")
    alive = [one for one in tree if one.is_alive()]
    check(not alive, "no process of the tree once the task is KILLED", alive)
    context.saw("killed", ", ".join(map(str, tree)))
    # Whatever this worker has: it runs only if the killed task's part was given back.
    await context.run_to_success(ONE.only(context.program("identify.py")), suffix="next")
    context.saw("given back", f"all of {job.tasks[0].attempts[-1].worker_id}")


async def second_client(context: CaseContext) -> None:
    """Another client sees the first one's job, follows it, and ends it; submitting it again is no second job."""
    job_id = await context.launch(context.program("hold.py"))
    async with Client.connect(context.cluster.address, context.cluster.token) as other:
        again = await other.launch(job_id, context.program("hold.py"))
        check(not again.created, "the same submission to be the same job")
        listed = [job.job_id for job in await other.list_jobs(str(job_id))]
        check_equal(listed, [job_id], "the jobs that the other client sees")
        await replace_client(context, other).first_line(job_id, "^ready")
        waiting = asyncio.create_task(context.client.wait(job_id))
        await other.terminate(job_id, "smoke: the other client")
        job = await waiting
    check_equal(job.state, JobState.KILLED, "the state that the first client sees")
    check_equal(len(job.tasks[0].attempts), 1, "attempts")
    context.saw("seen by both", f"{job_id} {job.state.value}")


async def burst(context: CaseContext) -> None:
    """500 tasks at once: each runs once and succeeds."""
    spec = JobSpec(Entrypoint(("/bin/sh", "-c", ":")), _TINY, replicas=_BURST)
    job = await context.run_to_success(spec)
    check_equal(job.count(TaskState.SUCCEEDED), _BURST, "tasks that succeeded")
    attempts = [attempt for task in job.tasks for attempt in task.attempts]
    check_equal(len(attempts), _BURST, "attempts")
    check_equal({attempt.exit_code for attempt in attempts}, {0}, "exit codes")
    check_equal(len({attempt.attempt_uid for attempt in attempts}), _BURST, "different attempts")
    workers = {attempt.worker_id for attempt in attempts}
    assert job.submitted_at is not None and job.finished_at is not None
    seconds = (job.finished_at - job.submitted_at).total_seconds()
    context.saw("tasks", f"{_BURST} on {len(workers)} workers in {seconds:.1f} s")


def replace_client(context: CaseContext, client: Client) -> CaseContext:
    """The same case, as seen by another client."""
    return replace(context, client=client)


JOB_CASES = (
    Case("hello", "A program runs out of the workspace bundle.", hello),
    Case("inline-callable", "A function travels to a task and is called there.", inline_callable),
    Case("three-at-once", "Three tasks of one job run side by side.", three_at_once),
    Case(
        "gang-of-four",
        "A gang starts together on one slice and adds up its numbers.",
        gang_of_four,
        needs=frozenset({GANG_OF_FOUR}),
    ),
    Case("retries-then-success", "A task that fails is run again.", retries_then_success),
    Case("failure-explained", "A failing job says how and why.", failure_explained),
    Case(
        "cancel-stubborn-tree",
        "Cancelling ends a process tree that ignores SIGTERM, and gives back what it held.",
        cancel_stubborn_tree,
        needs=frozenset({LOCAL_PROCESSES, group_need(ONE)}),
    ),
    Case("second-client", "Two clients see and steer the same job.", second_client),
    Case("burst", "500 tasks at once, each runs once.", burst),
)
