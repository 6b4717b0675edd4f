"""The program of a VM that is a process of its own: one worker, until its standard input is closed
or it is told to end.

Usage: python -m iris.platforms.local.worker_main, with WorkerProcessOptions on standard input,
which is its lifeline: the end of
it means that whoever started this process is gone, however that came about.
"""

import asyncio
import logging
import signal
import sys

from iris.host.clock import SystemClock
from iris.host.garbage import look_for_garbage_rarely
from iris.host.ids import RandomIds
from iris.host.ports import PortAllocator
from iris.model.errors import IrisError
from iris.platforms.local.bounded_log import BoundedFileHandler
from iris.platforms.local.worker_process import FAILED, REGISTERED, WorkerProcessOptions
from iris.worker.host import WorkerHost
from iris.worker.worker import Worker


async def main() -> int:
    """Runs the worker; 0 when it was told to end, 1 when it failed."""
    look_for_garbage_rarely()
    loop = asyncio.get_running_loop()
    lifeline = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lifeline), sys.stdin)
    options = WorkerProcessOptions.from_json((await lifeline.readline()).decode())
    told_to_end = asyncio.ensure_future(lifeline.read())
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.cancel)
    clock, ids, ports = SystemClock(), RandomIds(), PortAllocator(options.lease_dir)
    host = WorkerHost(options.host, ports=ports, clock=clock, ids=ids)
    try:
        await host.start()
        worker = host.worker(options.worker, options.environment)
        try:
            await worker.start()
            failed = asyncio.ensure_future(_registered_then_failed(worker))
            await asyncio.wait({failed, told_to_end}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                print(f"{FAILED} {failed.result()}", flush=True)
                return 1
            failed.cancel()
            return 0
        finally:
            await worker.stop("its machine is given back")
    except IrisError as error:
        print(f"{FAILED} {error}", flush=True)
        return 1
    finally:
        told_to_end.cancel()
        await host.close()
        ports.close()


async def _registered_then_failed(worker: Worker) -> BaseException:
    await worker.registered()
    print(REGISTERED, flush=True)
    return await worker.wait_failed()


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO,
        handlers=[BoundedFileHandler(sys.stderr)],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    sys.exit(asyncio.run(main()))
