"""`iris cluster status`, `stop`, `drain`, `undrain`, `backup` and `restore`."""

import asyncio

from iris.cli.cluster_arguments import (
    ClusterDrain,
    ClusterFlags,
    ClusterRestore,
    ClusterUndrain,
)
from iris.cli.context import Context
from iris.cli.find_cluster import find_cluster, find_state_folder, find_stopped
from iris.cli.find_controller import find_controller
from iris.cli.tables import cluster_details, controller_facts
from iris.cli.wording import plural
from iris.client import Client
from iris.lifecycle.cluster_manager import ClusterManager
from iris.lifecycle.restore import restore_back_up
from iris.model.ids import WorkerId
from iris.model.resources import format_bytes


async def show_status(flags: ClusterFlags, context: Context) -> int:
    """Prints what a cluster has and does; 1 if it cannot be asked."""
    address = None
    if flags.config is not None:
        found = await asyncio.to_thread(find_controller, flags, context)
        known = await asyncio.to_thread(found.controller.status)
        if not known.healthy:
            context.terminal.result(controller_facts(found.name, known))
            return 1
        address = f"{known.address} on {known.vm_name}"
    cluster = await find_cluster(flags, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        status = await client.cluster_status()
    context.terminal.result(
        *cluster_details(status, address or cluster.address, context.clock.now())
    )
    return 0


async def stop_cluster(flags: ClusterFlags, context: Context) -> int:
    """Stops a cluster, with everything that runs on it."""
    if flags.config is not None:
        found = await asyncio.to_thread(find_controller, flags, context)
        context.terminal.note(f"stopping {found.name}")
        await asyncio.to_thread(found.controller.stop)
        context.terminal.note(f"{found.name} has stopped; its jobs and logs are kept")
        return 0
    cluster = await find_state_folder(flags, context)
    folder = cluster.folder
    config = folder.read_config()
    context.terminal.note(f"stopping {cluster.name} ({folder.path})")
    await asyncio.to_thread(ClusterManager(config, state_dir=folder.path).stop)
    context.terminal.note(
        f"{cluster.name} has stopped; its jobs and logs are kept in {folder.path}"
    )
    return 0


async def drain_worker(
    flags: ClusterDrain | ClusterUndrain, context: Context, *, drain: bool
) -> int:
    """Has a worker take no new tasks, or take tasks again."""
    cluster = await find_cluster(flags.cluster, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        worker = await client.drain_worker(WorkerId(flags.worker), drain=drain)
    tasks = plural(worker.attempts, "task")
    if drain:
        context.terminal.note(f"{flags.worker} takes no new tasks; it still has {tasks}")
    else:
        context.terminal.note(f"{flags.worker} is {worker.state}; it has {tasks}")
    return 0


async def back_up_cluster(flags: ClusterFlags, context: Context) -> int:
    """Has a cluster copy its database; prints where the copy is, on the controller's machine."""
    cluster = await find_cluster(flags, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        made = await client.back_up()
    context.terminal.note(f"{format_bytes(made.size_bytes)}; without bundles and logs")
    context.terminal.result(made.path)
    return 0


async def restore_cluster(flags: ClusterRestore, context: Context) -> int:
    """Puts a back-up in the place of a stopped cluster's database."""
    folder = find_stopped(flags.cluster, context)
    file = context.folder / flags.file
    replaced = await asyncio.to_thread(restore_back_up, folder, file)
    context.terminal.note(f"restored {file} in {folder.path}")
    if replaced is not None:
        context.terminal.note(f"what was there is kept: {replaced}")
    return 0
