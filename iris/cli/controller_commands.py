"""`iris cluster start`, `restart`, `reload` and `logs`, of a controller wherever it is."""

import asyncio

from iris.cli.cluster_arguments import BringUp, ClusterFlags, ClusterLogs
from iris.cli.context import Context
from iris.cli.find_controller import configured_controller, find_controller
from iris.cli.wording import printable
from iris.model.errors import NotFound


async def bring_up(verb: BringUp, flags: ClusterFlags, context: Context) -> int:
    """Has it run; says where it serves, and how to stop it."""
    # What was never started has no state folder that would say what it is.
    find = configured_controller if verb == "start" else find_controller
    found = await asyncio.to_thread(find, flags, context)
    match verb:
        case "start":
            doing, act = "starting", found.controller.start
        case "restart":
            doing, act = "restarting", found.controller.restart
        case "reload":
            doing, act = "reloading", found.controller.reload
    context.terminal.note(f"{doing} {found.name}")
    status = await asyncio.to_thread(act)
    context.terminal.note(
        f"{found.name} serves at {status.address} on {status.vm_name}; "
        f"stop it with: {context.command} cluster stop {found.flag}"
    )
    return 0


async def show_startup_logs(flags: ClusterLogs, context: Context) -> int:
    """Prints what a controller wrote while it started, as it is."""
    found = await asyncio.to_thread(find_controller, flags.cluster, context)
    text = await asyncio.to_thread(found.controller.fetch_startup_logs, flags.tail)
    if text is None:
        raise NotFound(f"The cluster {found.name} was never started.")
    for line in text.splitlines():
        context.terminal.result(printable(line))
    return 0
