"""The process of a local controller: takes over the lock, starts all parts, says where it serves,
and ends in good order.

    python -P -m iris.lifecycle.local.daemon --state_dir=DIR --answer_fd=N --lock_fd=N
    [--lifeline_fd=N] [--hand_over_fd=N]

with a `Launch` on standard input. LocalController is what starts it. It stops on SIGTERM, SIGINT,
or the end of its lifeline, with exit code 0; with 1 if it could not start, or if something ended in
it that must not. On SIGUSR1 it becomes another program: see iris.lifecycle.local.reload.
"""

import argparse
import asyncio
import faulthandler
import logging
import logging.handlers
import os
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from iris.host.clock import SystemClock
from iris.host.files import FileLock, atomic_write, private_folder
from iris.host.garbage import look_for_garbage_rarely
from iris.host.ids import RandomIds
from iris.host.processes import ProcessIdentity
from iris.lifecycle.local.handshake import Answer, Launch
from iris.lifecycle.local.reload import (
    RELOAD_SIGNAL,
    HandOver,
    ReloadRequest,
    execute,
    take_request,
)
from iris.lifecycle.state_folder import ControllerRecord, StateFolder
from iris.model.errors import Internal, IrisError

T = TypeVar("T")

_log = logging.getLogger(__name__)

_LOG_FORMAT = "%(asctime)s %(levelname).1s %(name)s: %(message)s"
_LOG_BYTES = 16 << 20
_LOG_FILES = 3


@dataclass(frozen=True, slots=True)
class Inherited:
    """What the starter handed us: descriptors, the lifeline only to an attached controller, the last
    one only by the controller that this process was before.
    """

    state_dir: Path
    answer: int
    lock: int
    lifeline: int | None
    hand_over: int | None


@dataclass(frozen=True, slots=True)
class Reload:
    """What this process is to become, and what that takes over. `answer` is a descriptor."""

    request: ReloadRequest
    answer: int
    hand_over: HandOver


class Orders:
    """What the process was told while it serves: to stop, or to become another."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self.told = asyncio.Event()
        self.request: ReloadRequest | None = None
        self.answer = -1

    def stop(self) -> None:
        """To end; also where it was told before to become another."""
        self.request = None
        self.told.set()

    def reload(self) -> None:
        """To become what the state folder says. Ignored, and logged, where that makes no sense."""
        if self.told.is_set():
            return
        try:
            self.request, self.answer = take_request(self._folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("told to reload, but there is no request to: %r", error)
            return
        self.told.set()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until it is told to stop; the exit code."""
    inherited = _parse(argv)
    folder = StateFolder(inherited.state_dir)
    answer = Answer(inherited.answer)
    _log_to(logging.StreamHandler(sys.stderr))
    faulthandler.enable()
    look_for_garbage_rarely()
    try:
        lock = FileLock.adopt(folder.lock_file, inherited.lock)
        launch = Launch.from_bytes(sys.stdin.buffer.read())
        handed = None if inherited.hand_over is None else HandOver.read(inherited.hand_over)
        shutil.rmtree(folder.temporary, ignore_errors=True)
        private_folder(folder.temporary)
        try:
            reload = asyncio.run(_serve(launch, folder, answer, inherited.lifeline, handed))
            if reload is not None:
                answer = Answer(reload.answer)
                _become(reload, folder, lock, inherited.lifeline)
        finally:
            folder.record_file.unlink(missing_ok=True)
            shutil.rmtree(folder.temporary, ignore_errors=True)
            lock.let_go()
    except IrisError as error:
        _log.error("%s", error, exc_info=error.__cause__)
        answer.failed(error)
        return 1
    except Exception as error:  # noqa: BLE001 - the starter hears of any of them
        _log.exception("the controller ends")
        answer.failed(Internal(f"The controller broke while it started: {error!r}."))
        return 1
    return 0


def _become(reload: Reload, folder: StateFolder, lock: FileLock, lifeline: int | None) -> NoReturn:
    inherited = {"lock_fd": lock.descriptor}
    if lifeline is not None:
        inherited["lifeline_fd"] = lifeline
    execute(reload.request, folder, reload.hand_over, answer=reload.answer, inherited=inherited)


async def _serve(
    launch: Launch,
    folder: StateFolder,
    answer: Answer,
    lifeline: int | None,
    handed: HandOver | None,
) -> Reload | None:
    """Until it is told to stop, or to become another."""
    # Here, not above: what went wrong before is reported without waiting for all the imports.
    from iris.lifecycle.local.control_plane import LocalControlPlane

    orders = Orders(folder)
    _on_stop_signals(orders.stop, lifeline)
    plane = LocalControlPlane(
        launch,
        folder,
        token=folder.ensure_token(),
        clock=SystemClock(),
        ids=RandomIds(),
        handed=handed,
    )
    told = asyncio.create_task(orders.told.wait(), name="stop requested")
    hand_over: HandOver | None = None
    try:
        address = await _unless(told, plane.start())
        if address is not None:
            asyncio.get_running_loop().add_signal_handler(RELOAD_SIGNAL, orders.reload)
            own = ProcessIdentity.current()
            record = ControllerRecord(address, own, launch.config.name, plane.incarnation)
            atomic_write(folder.record_file, record.to_json())
            _log.info("cluster %s serves at %s", launch.config.name, address)
            _rotate_log(folder)
            answer.serving(address)
            failure = await _unless(told, plane.wait_failed())
            if failure is not None:
                raise Internal("The controller ended by itself.") from failure
    finally:
        told.cancel()
        # Nobody is to find a controller that is going.
        folder.record_file.unlink(missing_ok=True)
        if orders.request is not None:
            hand_over = await plane.hand_over()
            _log.info("handing over %d slices", len(hand_over.slices))
        else:
            await plane.stop()
            _log.info("stopped")
    if orders.request is None or hand_over is None:
        return None
    return Reload(orders.request, orders.answer, hand_over)


async def _unless(told: asyncio.Task[object], work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` comes to; None, and `work` cancelled, if we are told to stop before that."""
    task = asyncio.create_task(work)
    await asyncio.wait((told, task), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        return await task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return None


def _on_stop_signals(stop: Callable[[], None], lifeline: int | None) -> None:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop)
    # A terminal that is closed is no reason to end: an attached controller has its lifeline for
    # that.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    if lifeline is not None:
        os.set_inheritable(lifeline, False)

        def cut() -> None:
            # Nothing is ever written to it, so it is readable only at its end.
            loop.remove_reader(lifeline)
            stop()

        loop.add_reader(lifeline, cut)


def _log_to(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter(_LOG_FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def _rotate_log(folder: StateFolder) -> None:
    """From now on into a log of bounded size; the startup log stays as it is."""
    _log_to(
        logging.handlers.RotatingFileHandler(
            folder.controller_log, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES
        )
    )


def _parse(argv: Sequence[str] | None) -> Inherited:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state_dir", type=Path, required=True)
    parser.add_argument("--answer_fd", type=int, required=True)
    parser.add_argument("--lock_fd", type=int, required=True)
    parser.add_argument("--lifeline_fd", type=int)
    parser.add_argument("--hand_over_fd", type=int)
    flags = parser.parse_args(argv)
    return Inherited(
        flags.state_dir, flags.answer_fd, flags.lock_fd, flags.lifeline_fd, flags.hand_over_fd
    )


if __name__ == "__main__":
    sys.exit(main())
