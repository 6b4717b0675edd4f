"""The first screen, word for word."""

import io
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from iris.client import BudgetView, ClusterView, ScaleGroupView
from iris.lifecycle.state_folder import StateFolder
from iris.model.resources import GIB, MIB, Resources
from tools.local_cluster_summary import Calls, how_to_call, summary

CLUSTER = ClusterView(
    "local",
    "1.2.3",
    None,
    groups=(
        ScaleGroupView("cpu", "local", Resources(1000, GIB, GIB), 1, 0, 1, 10),
        ScaleGroupView("tpu", "local", Resources(250, 256 * MIB), 4, 1, 2, 20, "v5litepod-16"),
    ),
    machine=BudgetView(Resources(2000, 4 * GIB), Resources(1000, GIB)),
)


def test_the_first_screen() -> None:
    output = io.StringIO()
    console = Console(file=output, width=100, highlight=False)
    for part in summary(
        CLUSTER, "127.0.0.1:41237", Path("/s/local"), Calls("A", "Q"), timedelta(seconds=0.94)
    ):
        console.print(part)
    assert [line.rstrip() for line in output.getvalue().splitlines()] == [
        "Iris cluster local is up after 0.9 s",
        "",
        "  address  127.0.0.1:41237",
        "  machine  2 cores, 4 GiB memory (1 core, 1 GiB memory taken)",
        "  state    /s/local (token, database, logs)",
        "",
        "  GROUP  SLICES  EACH SLICE            EACH VM",
        "  cpu    0 to 1  1 VM                  1 core, 1 GiB memory, 1 GiB disk",
        "  tpu    1 to 2  4 VMs (v5litepod-16)  0.25 cores, 256 MiB memory",
        "",
        "  Submit a job, from another terminal, in your project's folder:",
        "    A job run -- python3 train.py",
        "  or quicker, once `./bazelw build //tools:iris` has built it:",
        "    Q job run -- python3 train.py",
        "",
        "  Ctrl-C stops the cluster and all that runs on it; jobs and logs are kept.",
    ]


def test_how_iris_is_called() -> None:
    usual = StateFolder(Path("/home/ann/.local/state/iris/local"))
    environment = {"HOME": "/home/ann", "BUILD_WORKSPACE_DIRECTORY": "/src/iris"}
    assert how_to_call(environment, usual) == Calls(
        "/src/iris/bazelw run //tools:iris --", "/src/iris/bazel-bin/tools/iris"
    )
    elsewhere = how_to_call({"HOME": "/home/ann"}, StateFolder(Path("/elsewhere")))
    assert elsewhere.quick == "IRIS_STATE_DIR=/elsewhere ./bazel-bin/tools/iris"
