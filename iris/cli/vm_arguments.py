"""The command line of what `iris cluster` does with single machines, as values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from iris.cli.cluster_arguments import ClusterFlags
from iris.model.faults import FaultKind


@dataclass(frozen=True, slots=True)
class ClusterVmLog:
    """`iris cluster vm-log`. `tail`: 0 means all lines."""

    cluster: ClusterFlags
    vm: str
    tail: int = 0


@dataclass(frozen=True, slots=True)
class ClusterInjectFault:
    """`iris cluster inject-fault`."""

    cluster: ClusterFlags
    kind: str
    target: str
    count: int = 1
    delay: str | None = None


VmCommand = ClusterVmLog | ClusterInjectFault


def add_vm_commands(leaf: Callable[[str, type[Any], str], Any]) -> None:
    """Adds them with `leaf`, which makes the parser of one command: name, dataclass, what it does."""
    log = leaf(
        "vm-log",
        ClusterVmLog,
        "Show what happened on a VM while it came up, and since; also if it failed.",
    )
    log.add_argument("vm", metavar="VM", help="as `iris cluster status` names it")
    log.add_argument(
        "--tail", type=int, default=0, metavar="N", help="only the last N lines (default: all)"
    )
    fault = leaf(
        "inject-fault",
        ClusterInjectFault,
        "Break something on purpose, on a cluster that allows it (controller_vm.local.fault_injection).",
    )
    fault.add_argument(
        "kind", metavar="KIND", choices=[kind.value for kind in FaultKind], help=_KINDS
    )
    fault.add_argument("target", metavar="TARGET", help="as `iris cluster status` names it")
    fault.add_argument(
        "--count", type=int, default=1, metavar="N", help="the next N slices (default: 1)"
    )
    fault.add_argument("--delay", metavar="TIME", help="how much later they come up: 5s, 2m")


_KINDS = (
    "fail, delay or refuse: the next slices of a scale group do not come up, come up later, or are "
    "not given; preempt: a slice is taken back; kill: a VM dies"
)
