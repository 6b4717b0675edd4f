"""`iris job list`, `status`, `logs`, `cancel` and `explain`."""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from iris.cli.arguments import JobCancel, JobExplain, JobList, JobLogs, JobStatus
from iris.cli.context import Context
from iris.cli.errors import UsageError
from iris.cli.find_cluster import find_cluster
from iris.cli.follow import line_prefix
from iris.cli.names import resolve, resolve_job
from iris.cli.run_job import explanation
from iris.cli.tables import job_details, job_table
from iris.client import Client, LogStream
from iris.config.quantities import parse_duration
from iris.model.errors import InvalidArgument
from iris.model.ids import parse_job_or_task_id

# How long `cancel` waits to see the end of what it has ended; stopping itself goes on.
_CANCEL_WITHIN = timedelta(seconds=60)
_TASKS_SHOWN = 1_000


async def list_jobs(flags: JobList, context: Context) -> int:
    """Prints a table of jobs."""
    cluster = await find_cluster(flags.cluster, context)
    prefix = f"/{flags.user}/" if flags.user else ""
    async with Client.connect(cluster.address, cluster.token) as client:
        jobs = await client.list_jobs(prefix, active_only=flags.active, limit=flags.limit)
    if jobs:
        context.terminal.result(job_table(jobs, context.clock.now()))
    else:
        context.terminal.note("no jobs")
    return 0


async def show_status(flags: JobStatus, context: Context) -> int:
    """Prints a job, why it stands where it does, and its tasks."""
    job_id = resolve_job(flags.job, context.user)
    cluster = await find_cluster(flags.cluster, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        job = await client.get(job_id, max_tasks=_TASKS_SHOWN)
        why = await client.explain(job_id)
    context.terminal.result(*job_details(job, why, context.clock.now()))
    return 0


async def show_logs(flags: JobLogs, context: Context) -> int:
    """Prints log lines; with --follow until the job has ended."""
    target = resolve(flags.job, context.user)
    since = parse_since(flags.since, context.clock.now()) if flags.since else None
    job_id, task = parse_job_or_task_id(target)
    cluster = await find_cluster(flags.cluster, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        tasks = 1 if task is not None else (await client.get(job_id, max_tasks=1)).spec.replicas
        async with aclosing(
            client.tail_logs(
                target,
                follow=flags.follow,
                tail=flags.tail,
                since=since,
                grep=flags.grep,
                streams=[LogStream(stream) for stream in flags.stream],
            )
        ) as lines:
            async for line in lines:
                context.terminal.log_line(line, line_prefix(line, tasks))
    return 0


async def cancel_job(flags: JobCancel, context: Context) -> int:
    """Ends a job and waits until it has ended."""
    job_id = resolve_job(flags.job, context.user)
    cluster = await find_cluster(flags.cluster, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        job = await client.terminate(job_id, f"cancelled by {context.user}")
        if not job.state.is_terminal:
            context.terminal.note(f"ending {job_id}")
            job = await client.wait(job_id, _CANCEL_WITHIN)
    context.terminal.note(f"{job_id}: {job.state.value}")
    return 0


async def explain(flags: JobExplain, context: Context) -> int:
    """Says why a job waits, where it runs, or how it failed."""
    job_id = resolve_job(flags.job, context.user)
    cluster = await find_cluster(flags.cluster, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        job = await client.get(job_id, max_tasks=_TASKS_SHOWN)
        context.terminal.result(*await explanation(client, job, context))
    return 0


def parse_since(text: str, now: datetime) -> datetime:
    """`10m` is that long ago; otherwise an ISO time, local where it names no zone. Raises
    UsageError.
    """
    try:
        return now - parse_duration(text)
    except InvalidArgument:
        pass
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise UsageError(
            f"--since {text!r} is neither a duration nor a time.",
            hint="Write 10m (ago) or 2026-01-31T08:00:00Z.",
        ) from None
