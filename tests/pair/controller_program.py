"""A controller as a process of its own that can be killed: it buys nothing, and serves until its
standard input is closed.

Usage: python -m tests.pair.controller_program FOLDER PORT TOKEN; says `serving` once it does.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from iris.controller.controller import Controller
from iris.controller.options import ControllerOptions, UnschedulablePolicy
from iris.controller.state.retry import RetryPolicy
from iris.host.clock import SystemClock
from iris.host.files import private_folder
from iris.host.ids import RandomIds
from iris.testing.fake_planner import FakePlanner
from iris.version import VERSION


async def main(folder: Path, port: int, token: str) -> None:
    """Serves."""
    planner = FakePlanner()
    planner.find("slice")  # whose workers outlive the controller
    controller = Controller(
        ControllerOptions(
            cluster="kills",
            version=VERSION,
            host="127.0.0.1",
            port=port,
            state_dir=private_folder(folder / "state"),
            bundle_dir=folder / "bundles",
            token=token,
            unschedulable=UnschedulablePolicy.ACCEPT,
            max_bundle_bytes=1 << 20,
            max_replicas=1000,
            # Longer than any outage of the test: who is killed says so by coming back.
            lost_after=timedelta(minutes=5),
            heartbeat_interval=timedelta(seconds=1),
            stop_grace=timedelta(seconds=1),
            log_flush_timeout=timedelta(seconds=30),
            retry=RetryPolicy(base=timedelta(milliseconds=10), longest=timedelta(milliseconds=50)),
        ),
        planner=planner,
        clock=SystemClock(),
        ids=RandomIds(),
    )
    await controller.start()
    print("serving", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await controller.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
