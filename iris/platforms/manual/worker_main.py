"""The worker's process on a host: one worker, until it is told to end (SIGTERM), is refused, or has been
without its controller for too long.

    python3 iris.pyz worker

with HostWorkerOptions on standard input. It writes how it does into its state file: `registered`, or
`failed` and why.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from iris.host.clock import SystemClock
from iris.host.files import atomic_write
from iris.host.garbage import look_for_garbage_rarely
from iris.host.ids import RandomIds
from iris.host.ports import PortAllocator
from iris.model.errors import IrisError
from iris.platforms.manual.agent import FAILED, REGISTERED
from iris.platforms.manual.watchdog import wait_until_alone
from iris.platforms.manual.worker_options import HostWorkerOptions
from iris.rpc.health import check_health
from iris.worker.host import WorkerHost
from iris.worker.options import WorkerOptions
from iris.worker.worker import Worker

_log = logging.getLogger(__name__)
_HEALTH_TIMEOUT = timedelta(seconds=5)


def main() -> int:
    """0 when it was told to end, 1 when it failed."""
    argparse.ArgumentParser(prog="iris worker", description=__doc__).parse_args()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname).1s %(name)s: %(message)s",
    )
    look_for_garbage_rarely()
    line = sys.stdin.readline()
    if not line.endswith("\n"):
        print("nothing was said to this worker", file=sys.stderr)
        return 1
    options = HostWorkerOptions.from_json(line)
    problem = asyncio.run(_run(options))
    if problem:
        _say(options.state_file, f"{FAILED} {problem}")
    return 1 if problem else 0


async def _run(options: HostWorkerOptions) -> str:
    """Why it failed; empty if it was told to end."""
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # the connection that started it is gone
    process = options.process
    own = replace(process.worker, inherit_env=_inherited(options.inherit))
    clock, ids, ports = SystemClock(), RandomIds(), PortAllocator(process.lease_dir)
    host = WorkerHost(process.host, ports=ports, clock=clock, ids=ids)
    try:
        await host.start()
        worker = host.worker(own, process.environment)
        reason = "its host is given back"
        try:
            await worker.start()
            problem = await _first_end(worker, options, told_to_end)
            reason = problem or reason
            return problem
        finally:
            await worker.stop(reason)
    except IrisError as error:
        return str(error)
    finally:
        await host.close()
        ports.close()


async def _first_end(worker: Worker, options: HostWorkerOptions, told_to_end: asyncio.Event) -> str:
    """Runs it until one of its ends comes; why, or empty if it was told to."""
    own = options.process.worker
    told = asyncio.create_task(told_to_end.wait())
    failed = asyncio.create_task(_registered_then_failed(worker, options.state_file))
    alone = asyncio.create_task(
        wait_until_alone(lambda: _reached(own), options.lease, SystemClock())
    )
    tasks = (told, failed, alone)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if told.done():
            return ""
        return str(failed.result() if failed.done() else alone.result())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _registered_then_failed(worker: Worker, state_file: Path) -> BaseException:
    await worker.registered()
    _say(state_file, REGISTERED)
    return await worker.wait_failed()


async def _reached(own: WorkerOptions) -> bool:
    try:
        await asyncio.to_thread(check_health, own.controller_address, _HEALTH_TIMEOUT)
    except IrisError as error:
        _log.warning("the controller is out of reach: %s", error)
        return False
    return True


def _inherited(names: tuple[str, ...]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def _say(path: Path, text: str) -> None:
    atomic_write(path, text.encode())


if __name__ == "__main__":
    sys.exit(main())
