"""What `local_cluster` does: start, show, wait, stop; and its flags."""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from absl import flags
from iris_proto import config_pb2
from rich.text import Text

from iris.cli.errors import UsageError, first_error
from iris.cli.folder import caller_folder
from iris.cli.outcome import INTERRUPTED
from iris.cli.terminal import Terminal
from iris.cli.wording import how_long
from iris.client import Client, ClusterView
from iris.config import ConfigError, default_local_config, load_config, make_local_config
from iris.host.clock import SystemClock
from iris.host.ids import RandomIds
from iris.host.ports import PortAllocator
from iris.host.processes import ProcessHandle
from iris.lifecycle.cluster_manager import ClusterManager
from iris.lifecycle.local.process import STARTED
from iris.lifecycle.state_folder import StateFolder, state_folder_of
from iris.model.errors import IrisError, Unavailable
from tools.local_cluster_demo import Demo, demo_jobs
from tools.local_cluster_stop import StopRequest, StopRequested
from tools.local_cluster_summary import how_to_call, summary

FLAGS = flags.FLAGS
flags.DEFINE_string("config", None, "The cluster's configuration (default: examples/local.yaml).")
flags.DEFINE_integer(
    "port",
    None,
    "TCP port of the controller, 0: a free one (default: the configuration's).",
    lower_bound=0,
    upper_bound=65535,
)
flags.DEFINE_string("state_dir", None, "Folder for its state (default: the configuration's).")
flags.DEFINE_bool("demo", None, "Run four demo jobs (default: if this is a terminal).")
flags.DEFINE_bool(
    "exit_after_demo", False, "Stop once the demo jobs are over; 1 if one of them surprised."
)
flags.DEFINE_bool(
    "fault_injection",
    None,
    "Let those who have the token break things on purpose: iris cluster inject-fault (default: the configuration's).",
)
flags.DEFINE_bool(
    "smoke_groups",
    False,
    "Add the smoke flow's scale groups and turn --fault_injection on, for //tools:smoke -- --address=...",
)

_HOUR = 3600.0
# For the exit code of a process that has ended; it is there at once.
_REAP_SECONDS = 5.0


def main(arguments: Sequence[str]) -> int:
    """Start, show, wait, stop. Returns the exit code."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    stop = StopRequest()
    errors = Terminal(sys.stderr, sys.stderr)
    try:
        if arguments[1:]:
            raise UsageError(
                f"There is no argument {arguments[1]!r}.", hint="Flags begin with --; see --help."
            )
        config = _config()
        manager = ClusterManager(config, attached=True)
        return _run(_Cluster(manager, state_folder_of(config, os.environ)), stop)
    except StopRequested:
        return INTERRUPTED
    except ConfigError as error:
        errors.explain(Text(error.problem))  # file:line:column first, as editors and people want it
        return 2
    except (IrisError, ExceptionGroup) as error:
        first = first_error(error)
        if not isinstance(first, IrisError):
            raise
        errors.error(first)
        return 2 if isinstance(first, UsageError) else 1


def _run(cluster: "_Cluster", stop: StopRequest) -> int:
    began = time.monotonic()
    try:
        cluster.manager.start()
        stop.hold_back()
    except StopRequested:
        cluster.manager.stop()
        raise
    took = timedelta(seconds=time.monotonic() - began)
    return asyncio.run(_serve(cluster, Terminal(sys.stdout, sys.stdout), stop, took))


@dataclass(frozen=True, slots=True)
class _Cluster:
    manager: ClusterManager
    folder: StateFolder


def _config() -> config_pb2.ClusterConfig:
    """The configuration, with what the flags say. Raises ConfigError."""
    folder = caller_folder(os.environ, Path.cwd())
    config = default_local_config() if FLAGS.config is None else load_config(folder / FLAGS.config)
    config = make_local_config(config)
    if FLAGS.smoke_groups:
        # Here, not above: few want it.
        from iris.smoke.groups import with_smoke_groups

        config = with_smoke_groups(config)
    if FLAGS.fault_injection is not None:
        config.controller_vm.local.fault_injection = FLAGS.fault_injection
    if FLAGS.port is not None:
        config.controller_vm.local.port = FLAGS.port
    if FLAGS.state_dir is not None:
        config.controller_vm.local.state_dir = str((folder / FLAGS.state_dir).absolute())
    return config


async def _serve(cluster: _Cluster, terminal: Terminal, stop: StopRequest, took: timedelta) -> int:
    """Everything from the moment the cluster is up until nothing of it is left."""
    try:
        return await _until_over(cluster, terminal, stop, took)
    finally:
        began = time.monotonic()
        with contextlib.suppress(OSError):  # a terminal that was closed must not keep us from it
            terminal.result(Text("\nstopping ...", style="dim"))
        await asyncio.to_thread(cluster.manager.stop)
        lasted = how_long(timedelta(seconds=time.monotonic() - began))
        terminal.result(Text(f"stopped after {lasted}; nothing of it is left running"))


async def _until_over(
    cluster: _Cluster, terminal: Terminal, stop: StopRequest, took: timedelta
) -> int:
    ended = _end_of_controller(cluster.folder)
    stopping = asyncio.create_task(stop.wait())
    showing = asyncio.create_task(_show(cluster, terminal, took))
    try:
        everything: set[asyncio.Future[Any]] = {ended, stopping, showing}
        await asyncio.wait(everything, return_when=asyncio.FIRST_COMPLETED)
        if showing.done() and not stop.requested:
            as_meant = showing.result()
            if FLAGS.exit_after_demo:
                return 0 if as_meant else 1
            await asyncio.wait(everything - {showing}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.requested:
            _check_end(cluster.folder)
            terminal.result("\nthe cluster was stopped from elsewhere")
        return 0
    finally:
        for task in (stopping, showing):
            task.cancel()
        await asyncio.gather(stopping, showing, return_exceptions=True)


def _check_end(folder: StateFolder) -> None:
    """Raises Unavailable if the controller ended in another way than by being told to."""
    process = STARTED.get(folder)
    code = process.reap(_REAP_SECONDS) if process is not None else None
    if code != 0:
        raise Unavailable(
            f"The controller has ended by itself (exit code {code}).",
            hint=f"Its log may say why: {folder.controller_log}",
        )


async def _show(cluster: _Cluster, terminal: Terminal, took: timedelta) -> bool:
    """The summary, then the demo. Whether its jobs ended as they were meant to."""
    folder = cluster.folder
    calls = how_to_call(os.environ, folder)
    with cluster.manager.connect() as connection:
        async with Client.connect(connection.address, connection.token) as client:
            status = await client.cluster_status()
            terminal.result(*summary(status, connection.address, folder.path, calls, took))
            if not (sys.stdout.isatty() if FLAGS.demo is None else FLAGS.demo):
                return True
            return await _run_demo(client, terminal, status, folder, calls.quick)


async def _run_demo(
    client: Client, terminal: Terminal, status: ClusterView, folder: StateFolder, command: str
) -> bool:
    ports = PortAllocator(folder.leases)
    try:
        # The gang's members have to know where to meet before they run. The number stays leased
        # until they have ended; the socket is theirs.
        port = ports.lease("ring all-reduce").hand_over()
        jobs = demo_jobs(status.groups, port)
        demo = Demo(client, terminal, jobs, clock=SystemClock(), ids=RandomIds(), command=command)
        as_meant = await demo.run()
    finally:
        ports.close()
    verdict = (
        "all demo jobs ended as they were meant to"
        if as_meant
        else "not all demo jobs ended as they were meant to"
    )
    terminal.result(Text(f"\n{verdict}", style="green" if as_meant else "bold red"))
    if not FLAGS.exit_after_demo:
        terminal.result(
            Text.assemble(
                "the cluster is up: ", (f"{command} job run -- ...", "bold"), "; Ctrl-C stops it"
            )
        )
    return as_meant


def _end_of_controller(folder: StateFolder) -> "asyncio.Future[None]":
    """Done once the controller's process is no more, whoever ended it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not future.done():
            future.set_result(None)

    def wait() -> None:
        record = folder.running()
        handle = ProcessHandle.open(record.process) if record else None
        if handle is not None:
            with handle:
                while not handle.wait(_HOUR):
                    pass
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell)

    # A daemon thread, so that it cannot hold up our own end.
    threading.Thread(target=wait, name="end-of-controller", daemon=True).start()
    return future
