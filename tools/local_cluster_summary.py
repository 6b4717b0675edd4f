"""What `local_cluster` tells once the cluster is up: where it is, what it has, and how to use it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from iris.cli.tables import machine_text
from iris.cli.wording import how_long, plural
from iris.client import ClusterView, ScaleGroupView
from iris.lifecycle.state_folder import StateFolder, state_root


@dataclass(frozen=True, slots=True)
class Calls:
    """How the `iris` command is called for this cluster: always so, and quicker once it is built."""

    always: str
    quick: str


def how_to_call(environment: Mapping[str, str], folder: StateFolder) -> Calls:
    """From any folder, where the workspace is known; with the state folder where `iris` would not
    find it by itself.
    """
    workspace = environment.get("BUILD_WORKSPACE_DIRECTORY", ".")
    found_by_itself = folder.path.parent == state_root(environment)
    prefix = "" if found_by_itself else f"IRIS_STATE_DIR={folder.path} "
    return Calls(
        always=f"{prefix}{workspace}/bazelw run //tools:iris --",
        quick=f"{prefix}{workspace}/bazel-bin/tools/iris",
    )


def summary(
    cluster: ClusterView, address: str, state_dir: Path, calls: Calls, took: timedelta
) -> list[RenderableType]:
    """The first screen."""
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("address", address),
        ("machine", machine_text(cluster)),
        ("state", f"{state_dir} (token, database, logs)"),
    ):
        facts.add_row(Text(f"  {name}", style="dim"), Text(value))
    return [
        Text.assemble(
            ("Iris cluster ", ""), (cluster.cluster, "bold"), f" is up after {how_long(took)}"
        ),
        Text(""),
        facts,
        Text(""),
        _groups(cluster.groups),
        Text(""),
        Text("  Submit a job, from another terminal, in your project's folder:", style="dim"),
        Text(f"    {calls.always} job run -- python3 train.py"),
        Text("  or quicker, once `./bazelw build //tools:iris` has built it:", style="dim"),
        Text(f"    {calls.quick} job run -- python3 train.py"),
        Text(""),
        Text(
            "  Ctrl-C stops the cluster and all that runs on it; jobs and logs are kept.",
            style="dim",
        ),
    ]


def _groups(groups: tuple[ScaleGroupView, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("  GROUP", "SLICES", "EACH SLICE", "EACH VM"):
        table.add_column(column, overflow="fold")
    for group in groups:
        variant = f" ({group.accelerator_variant})" if group.accelerator_variant else ""
        table.add_row(
            Text(f"  {group.name}", style="bold"),
            f"{group.min_slices} to {group.max_slices}",
            f"{plural(group.vms_per_slice, 'VM')}{variant}",
            str(group.vm),
        )
    return table
