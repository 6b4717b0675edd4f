"""`iris cluster vm-log`."""

from rich.text import Text

from iris.cli.context import Context
from iris.cli.errors import UsageError
from iris.cli.find_cluster import find_cluster
from iris.cli.vm_arguments import ClusterVmLog, VmCommand
from iris.cli.wording import printable
from iris.client import Client


async def run_vm_command(flags: VmCommand, context: Context) -> int:
    """Carries out one of them."""
    return await _show_vm_log(flags, context)


async def _show_vm_log(flags: ClusterVmLog, context: Context) -> int:
    if flags.tail < 0:
        raise UsageError(f"--tail is {flags.tail}.", hint="0 means all lines.")
    cluster = await find_cluster(flags.cluster, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        text = await client.vm_log(flags.vm, tail=flags.tail)
    context.terminal.result(Text(printable(text.rstrip("\n"))))
    return 0
