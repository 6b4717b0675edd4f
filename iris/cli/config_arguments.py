"""The command line of `iris config`, as values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """`iris config check`."""

    file: str
    json: bool = False


@dataclass(frozen=True, slots=True)
class ConfigExplain:
    """`iris config explain`."""

    file: str
    key: str | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class ConfigLocal:
    """`iris config local`."""

    file: str


ConfigCommand = ConfigCheck | ConfigExplain | ConfigLocal

ROOM = "Check and explain a cluster's configuration, or make it a local one; no cluster is needed."
_FILE_HELP = "a cluster's configuration (YAML)"


def add_config_commands(leaf: Callable[[str, type[Any], str], Any]) -> None:
    """Adds them with `leaf`, which makes the parser of one command: name, dataclass, what it does."""
    check = leaf(
        "check", ConfigCheck, "Say everything that is wrong with a configuration; 0 if nothing is."
    )
    check.add_argument("file", metavar="FILE", help=_FILE_HELP)
    check.add_argument("--json", action="store_true", help="print an object that programs can read")
    explain = leaf(
        "explain", ConfigExplain, "Show every value of a configuration and where it comes from."
    )
    explain.add_argument("file", metavar="FILE", help=_FILE_HELP)
    explain.add_argument(
        "key",
        metavar="KEY",
        nargs="?",
        help="only this and what lies in it, e.g. scale_groups.cpu.vm; then also what is not set",
    )
    explain.add_argument("--json", action="store_true", help="print a list that programs can read")
    local = leaf(
        "local",
        ConfigLocal,
        "Print the same cluster with everything on this machine, every default filled in.",
    )
    local.add_argument("file", metavar="FILE", help=_FILE_HELP)
