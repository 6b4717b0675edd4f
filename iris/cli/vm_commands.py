"""`iris cluster vm-log` and `inject-fault`."""

from datetime import timedelta

from rich.text import Text

from iris.cli.context import Context
from iris.cli.errors import UsageError
from iris.cli.find_cluster import find_cluster
from iris.cli.vm_arguments import ClusterInjectFault, ClusterVmLog, VmCommand
from iris.cli.wording import printable
from iris.client import Client
from iris.config.quantities import parse_duration
from iris.model.errors import InvalidArgument
from iris.model.faults import Fault, FaultKind


async def run_vm_command(flags: VmCommand, context: Context) -> int:
    """Carries out one of them."""
    match flags:
        case ClusterVmLog():
            return await _show_vm_log(flags, context)
        case ClusterInjectFault():
            return await _inject_fault(flags, context)


async def _show_vm_log(flags: ClusterVmLog, context: Context) -> int:
    if flags.tail < 0:
        raise UsageError(f"--tail is {flags.tail}.", hint="0 means all lines.")
    cluster = await find_cluster(flags.cluster, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        text = await client.vm_log(flags.vm, tail=flags.tail)
    context.terminal.result(Text(printable(text.rstrip("\n"))))
    return 0


async def _inject_fault(flags: ClusterInjectFault, context: Context) -> int:
    try:
        delay = timedelta(0) if flags.delay is None else parse_duration(flags.delay)
        fault = Fault(FaultKind(flags.kind), flags.target, flags.count, delay)
    except InvalidArgument as error:
        raise UsageError(error.problem, hint=error.hint) from None
    cluster = await find_cluster(flags.cluster, context)
    async with Client.connect(cluster.address, cluster.token) as client:
        done = await client.inject_fault(fault)
    context.terminal.note(done)
    return 0
