"""`iris job output`."""

import asyncio
from pathlib import Path

from iris.cli.arguments import JobOutput
from iris.cli.context import Context
from iris.cli.errors import UsageError
from iris.cli.find_cluster import find_cluster
from iris.cli.names import resolve
from iris.client import Client
from iris.model.ids import TaskId, parse_job_or_task_id
from iris.model.resources import format_bytes


async def fetch_output(flags: JobOutput, context: Context) -> int:
    """Makes a new folder a copy of what a task has published."""
    target = resolve(flags.task, context.user)
    if parse_job_or_task_id(target)[1] is None:
        raise UsageError(
            f"{flags.task!r} is a job, and outputs are its tasks'.",
            hint=f"Its first task is {flags.task}/0.",
        )
    folder = context.folder / flags.folder
    if not await asyncio.to_thread(folder.parent.is_dir):
        raise UsageError(f"{str(folder.parent)!r} is no folder.", hint="Make it first.")
    cluster = await find_cluster(flags.cluster, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        output = await client.fetch_output(TaskId(target), flags.name, Path(folder))
    context.terminal.note(
        f"{output.name} of {target} is in {folder} ({format_bytes(output.size_bytes)} packed)"
    )
    return 0
