"""Tests of the controller's process around its parts: the process is real, the parts are stand-ins
that do what is tested.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.host.files import FileLock, private_folder
from iris.lifecycle.local.controller import LocalController
from iris.lifecycle.local.handshake import Launch, wait_for_answer
from iris.lifecycle.local.process import ControllerProcess, spawn
from iris.lifecycle.local.sample_cluster import sample_config
from iris.model.errors import Internal, IrisError, Unavailable
from iris.testing.eventually import assert_eventually

# A process that is the real one, but for its control plane.
_PROCESS = """
import asyncio, os, sys
from iris.lifecycle.local import control_plane, daemon

class Plane:
    incarnation = "controller-1"

    def __init__(self, launch, folder, *, token, clock, ids, handed):
        self.folder = folder

    async def start(self):
        return "127.0.0.1:1"

    async def wait_failed(self):
        await asyncio.Event().wait()

    async def stop(self):
        print("plane stopped", flush=True)

{program}
control_plane.LocalControlPlane = Plane
sys.exit(daemon.main())
"""


class _Daemon:
    """Lets a controller with another plane be started."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._patch = monkeypatch
        self.controller = LocalController(sample_config(folder / "state"), attached=True)

    def with_plane(self, program: str) -> LocalController:
        (self._folder / "other_controller.py").write_text(_PROCESS.format(program=program))
        self._patch.syspath_prepend(self._folder)
        self._patch.setattr("iris.lifecycle.local.process._MODULE", "other_controller")
        return self.controller

    def log(self) -> str:
        return self.controller.fetch_startup_logs() or ""


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Daemon]:
    daemon = _Daemon(tmp_path, monkeypatch)
    yield daemon
    daemon.controller.stop()


def test_stopping_while_it_starts(daemon: _Daemon) -> None:
    controller = daemon.with_plane("""
async def hang(self):
    print("starting", flush=True)
    await asyncio.Event().wait()
Plane.start = hang
""")
    outcome: list[IrisError] = []

    def start() -> None:
        try:
            controller.start()
        except IrisError as error:
            outcome.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    asyncio.run(assert_eventually(lambda: "starting" in daemon.log(), "the plane is starting"))
    status = LocalController(sample_config(controller.state_folder.path)).status()
    assert status.running
    assert status.problem.startswith("It is starting, or stopping (pid ")
    LocalController(sample_config(controller.state_folder.path)).stop()
    thread.join()
    (error,) = outcome
    assert isinstance(error, Unavailable)
    assert str(error).startswith("The controller ended while it started (exit code 0).")
    assert "plane stopped" in daemon.log()
    assert not controller.state_folder.is_locked()


def test_a_bug_while_starting(daemon: _Daemon) -> None:
    controller = daemon.with_plane("""
async def broken(self):
    raise ZeroDivisionError("a bug")
Plane.start = broken
""")
    with pytest.raises(Internal) as caught:
        controller.start()
    said = str(caught.value)
    assert said.startswith(
        "The controller broke while it started: ZeroDivisionError('a bug'). Its last lines:"
    )
    assert said.endswith("ZeroDivisionError: a bug"), "the end of the traceback"
    assert "plane stopped" in daemon.log(), "what had started is stopped all the same"


def test_a_refusal_is_one_line_and_keeps_its_kind(daemon: _Daemon) -> None:
    controller = daemon.with_plane("""
from iris.model.errors import DataLoss
async def refuse(self):
    raise DataLoss("The database is damaged.", hint="Restore it.")
Plane.start = refuse
""")
    with pytest.raises(IrisError) as caught:
        controller.start()
    assert type(caught.value).__name__ == "DataLoss"
    assert str(caught.value) == "The database is damaged. Restore it."


def _spawn(daemon: _Daemon) -> ControllerProcess:
    """The process without the starter's questions: nobody serves at the address it names."""
    folder = daemon.controller.state_folder
    private_folder(folder.path)
    lock = FileLock(folder.lock_file)
    assert lock.acquire()
    process = spawn(folder, Launch(sample_config(folder.path), {}), lock, attached=True)
    lock.let_go()
    assert wait_for_answer(process.answer, 60) == "127.0.0.1:1"
    return process


def test_it_dies_loudly_when_something_in_it_does(daemon: _Daemon) -> None:
    folder = daemon.with_plane("""
async def fail(self):
    while not os.path.exists(self.folder.path / "fail"):
        await asyncio.sleep(0.01)
    return ZeroDivisionError("a loop ended")
Plane.wait_failed = fail
""").state_folder
    process = _spawn(daemon)
    assert folder.running() is not None
    (folder.path / "fail").touch()
    assert process.reap(60) == 1
    process.abort()
    assert folder.read_record() is None
    assert not folder.temporary.exists()
    assert "plane stopped" in daemon.log()
    log = folder.controller_log.read_text()
    assert "ZeroDivisionError: a loop ended" in log
    assert "The controller ended by itself." in log


def test_the_end_of_the_lifeline_is_a_graceful_stop(daemon: _Daemon) -> None:
    folder = daemon.with_plane("").state_folder
    process = _spawn(daemon)
    process.cut_lifeline()
    assert process.reap(60) == 0
    process.abort()
    assert folder.read_record() is None
    assert folder.controller_log.read_text().endswith(" stopped\n")


def test_its_descriptors_go_no_further(daemon: _Daemon) -> None:
    """A task that inherited one would keep the lock, or the starter waiting, after the controller's
    end.
    """
    daemon.with_plane("""
import subprocess
async def start(self):
    child = await asyncio.create_subprocess_exec("ls", "-l", "/proc/self/fd", close_fds=False)
    await child.wait()
    return "127.0.0.1:1"
Plane.start = start
""")
    process = _spawn(daemon)
    log = daemon.log()
    assert " 0 -> " in log
    assert "controller.lock" not in log
    inherited = [line for line in log.splitlines() if " -> pipe:" in line]
    assert len(inherited) <= 1, "only what is left of its standard input"
    process.cut_lifeline()
    assert process.reap(60) == 0
    process.abort()
