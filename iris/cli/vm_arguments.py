"""The command line of what `iris cluster` does with single machines, as values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from iris.cli.cluster_arguments import ClusterFlags


@dataclass(frozen=True, slots=True)
class ClusterVmLog:
    """`iris cluster vm-log`. `tail`: 0 means all lines."""

    cluster: ClusterFlags
    vm: str
    tail: int = 0


VmCommand = ClusterVmLog


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
