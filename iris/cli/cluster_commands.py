"""`iris cluster status` and `iris cluster stop`."""

import asyncio

from iris.cli.arguments import ClusterStatus, ClusterStop
from iris.cli.context import Context
from iris.cli.find_cluster import find_cluster, find_state_folder
from iris.cli.tables import cluster_details
from iris.client import Client
from iris.lifecycle.cluster_manager import ClusterManager


async def show_status(flags: ClusterStatus, context: Context) -> int:
    """Prints what a cluster has and does."""
    cluster = await find_cluster(flags.cluster, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        status = await client.cluster_status()
    context.terminal.result(*cluster_details(status, cluster.address, context.clock.now()))
    return 0


async def stop_cluster(flags: ClusterStop, context: Context) -> int:
    """Stops a cluster of this machine, with everything that runs on it."""
    cluster = await find_state_folder(flags.cluster, context)
    folder = cluster.folder
    config = folder.read_config()
    context.terminal.note(f"stopping {cluster.name} ({folder.path})")
    await asyncio.to_thread(ClusterManager(config, state_dir=folder.path).stop)
    context.terminal.note(
        f"{cluster.name} has stopped; its jobs and logs are kept in {folder.path}"
    )
    return 0
