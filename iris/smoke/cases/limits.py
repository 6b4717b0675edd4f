"""Is a task held to its limits, and does it say so when it went beyond one?"""

import json
import re
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

from iris.client import JobView, LogStream
from iris.model.resources import MIB
from iris.model.states import JobState, TaskState
from iris.smoke.case import Case, check, check_equal
from iris.smoke.context import SMALL, CaseContext, with_replicas

_MEMORY = 32 * MIB
_SHARE = 0.1
# Held by stopping and continuing, where there are no control groups, a share is kept over seconds only.
_SHARE_TOLERANCE = 0.15
_SPIN_SECONDS = 1.0


async def memory_limit(context: CaseContext) -> None:
    """What takes more memory than it asked for is killed, and told its peak and its limit."""
    spec = context.program("hog.py", "200", resources=replace(SMALL, memory_bytes=_MEMORY))
    job = await context.run(spec)
    check_equal(job.state, JobState.FAILED, "the job's state")
    attempt = job.tasks[0].attempts[-1]
    check_equal(attempt.state, TaskState.FAILED, "the attempt's state")
    said = attempt.error
    check("memory" in said and "32 MiB" in said, "a reason with the memory limit, 32 MiB", said)
    check("nobody noticed" not in await context.logs(job.job_id), "a task that was killed")
    assert attempt.usage is not None
    check(attempt.usage.peak_memory_bytes > 16 * MIB, "a measured peak", attempt.usage)
    context.saw("reason", said)


async def cpu_limit(context: CaseContext) -> None:
    """What asked for a tenth of a processor gets about that much, however hard it tries."""
    resources = replace(SMALL, cpu_millis=int(1000 * _SHARE))
    spec = context.program("spin.py", str(_SPIN_SECONDS), resources=resources)
    job = await context.run_to_success(spec)
    (line,) = await context.logs(job.job_id, stream=LogStream.STDOUT)
    match = re.match(r"share ([0-9.]+) of", line)
    check(match, "the share that the task measured", line)
    assert match is not None
    check(0 < float(match[1]) <= _SHARE + _SHARE_TOLERANCE, f"a share of about {_SHARE}", line)
    context.saw("measured", line)


async def wall_timeout(context: CaseContext) -> None:
    """What runs longer than it may is ended, has failed, and says why."""
    spec = replace(
        context.program("hold.py"),
        task_timeout=timedelta(seconds=0.5),
        stop_grace=timedelta(seconds=0.2),
    )
    job = await context.run(spec)
    check_equal(job.state, JobState.FAILED, "the job's state")
    attempt = job.tasks[0].attempts[-1]
    check(attempt.started_at, "a task that had begun", attempt)
    check_equal(attempt.state, TaskState.FAILED, "the attempt's state")
    said = attempt.error or attempt.stop_reason or job.error
    check("limit of 0.5 s" in said, "a reason with its limit of 0.5 s", said)
    context.saw("reason", said)


async def named_ports(context: CaseContext) -> None:
    """Six ports of three tasks that run at once are six different ports, and each is its task's."""
    spec = replace(
        with_replicas(context.program("ports.py"), 3),
        port_names=("http", "metrics"),
        stop_grace=timedelta(seconds=0),
    )
    job_id = await context.launch(spec)
    said: dict[str, dict[str, int]] = {}
    async with aclosing(context.client.tail_logs(job_id, follow=True)) as lines:
        async for line in lines:
            if line.text.startswith("ready "):
                one = json.loads(line.text.removeprefix("ready "))
                said[one["task"]] = one["ports"]
            if len(said) == 3:
                break

    async def all_run() -> JobView | None:
        # What a task writes may be known before it is known that it runs.
        view = await context.client.get(job_id)
        return view if view.count(TaskState.RUNNING) == 3 else None

    job = await context.until(all_run)
    await context.client.terminate(job_id, "smoke: seen enough")
    for ports in said.values():
        check_equal(set(ports), {"IRIS_PORT_HTTP", "IRIS_PORT_METRICS"}, "the ports' names")
    taken = [port for ports in said.values() for port in ports.values()]
    check_equal(len(set(taken)), 6, "different ports of tasks that run at once")
    for task in job.tasks:
        told = {f"IRIS_PORT_{name.upper()}": port for name, port in task.attempts[-1].ports}
        check_equal(said[task.task_id], told, f"the ports of {task.task_id}")
    ended = await context.client.wait(job_id)
    check_equal(ended.state, JobState.KILLED, "the job's state")
    context.saw("ports", ", ".join(map(str, taken)))


LIMIT_CASES = (
    Case("memory-limit", "A task beyond its memory is killed and told so.", memory_limit),
    Case("cpu-limit", "A task gets the share of a processor that it asked for.", cpu_limit),
    Case("wall-timeout", "A task beyond its time is ended and told so.", wall_timeout),
    Case("named-ports", "Named ports are unique across tasks.", named_ports),
)
