"""Tests of starts that fail: what is said then, and that nothing is left."""

import socket
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from iris.host.files import FileLock
from iris.host.processes import ProcessIdentity
from iris.lifecycle.local.controller import LocalController, LocalTimeouts
from iris.lifecycle.local.sample_cluster import sample_config
from iris.model.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    IrisError,
    Unavailable,
)
from iris.testing.leaks import LeakCheck


@pytest.fixture
def controller(state_dir: Path) -> Iterator[LocalController]:
    controller = LocalController(sample_config(state_dir), attached=True)
    yield controller
    controller.stop()


def _refusal(controller: LocalController, kind: type[IrisError]) -> str:
    with LeakCheck(), pytest.raises(kind) as caught:
        controller.start()
    assert not controller.status().running
    assert not controller.state_folder.is_locked()
    return str(caught.value)


def test_the_lock_is_held_by_another(state_dir: Path) -> None:
    state_dir.mkdir(mode=0o700)
    lock = FileLock(state_dir / "controller.lock")
    assert lock.acquire()
    hasty = LocalController(
        sample_config(state_dir), timeouts=LocalTimeouts(leftovers=timedelta(seconds=0))
    )
    with pytest.raises(FailedPrecondition) as caught:
        hasty.start()
    assert str(caught.value) == (
        f"Another controller (just being started) has the state folder {state_dir}. "
        "Wait for it, stop it, or choose another state folder."
    )
    assert [path.name for path in state_dir.iterdir()] == ["controller.lock"]
    lock.let_go()


def test_the_port_is_taken(tmp_path: Path, state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        controller = LocalController(sample_config(state_dir, port=port), attached=True)
        said = _refusal(controller, FailedPrecondition)
        assert said.startswith(f"Cannot listen on 127.0.0.1:{port}: the port is taken")
        assert "\n" not in said
        assert f"Cannot listen on 127.0.0.1:{port}" in (controller.fetch_startup_logs() or "")
        assert controller.fetch_startup_logs(0) == ""
        assert len((controller.fetch_startup_logs(1) or "").splitlines()) == 1


def test_the_state_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    where = tmp_path / "file" / "state"
    said = _refusal(LocalController(sample_config(where), attached=True), FailedPrecondition)
    assert said == f"The folder {where} cannot be used: Not a directory. Choose another folder."


def test_a_machine_too_small(state_dir: Path) -> None:
    config = sample_config(state_dir)
    config.controller_vm.local.machine.oversubscribe = False
    config.scale_groups["cpu"].vm.cpu = 8000
    said = _refusal(LocalController(config, attached=True), InvalidArgument)
    assert said.startswith(
        "scale_groups.cpu.vm: one VM needs 8 cores, this machine's budget is 1 core;"
    )


def _as_controller(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str) -> None:
    """Lets `program` be what is started in the place of the controller."""
    (folder / "other_controller.py").write_text(program)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr("iris.lifecycle.local.process._MODULE", "other_controller")


def test_dying_while_it_starts(
    controller: LocalController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_controller(monkeypatch, tmp_path, "import sys; sys.exit('what a pity')")
    said = _refusal(controller, Unavailable)
    assert said == (
        "The controller ended while it started (exit code 1). Its last lines:\nwhat a pity"
    )
    assert controller.fetch_startup_logs() == "what a pity\n"


def test_being_killed_while_it_starts(
    controller: LocalController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_controller(monkeypatch, tmp_path, "import os; os.kill(os.getpid(), 9)")
    said = _refusal(controller, Unavailable)
    assert said == "The controller ended while it started (killed by SIGKILL). It wrote nothing."


def test_never_being_ready(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_controller(monkeypatch, tmp_path, "import signal; signal.pause()")
    timeouts = LocalTimeouts(start=timedelta(seconds=0.3))
    controller = LocalController(sample_config(state_dir), attached=True, timeouts=timeouts)
    said = _refusal(controller, DeadlineExceeded)
    assert said.startswith("The controller did not serve within 0.3 s, and was ended.")


def test_claiming_to_serve(
    controller: LocalController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = """
import os, signal, sys
flags = dict(flag.lstrip("-").split("=") for flag in sys.argv[1:])
os.write(int(flags["answer_fd"]), b'{"address": "127.0.0.1:1"}\\n')
signal.pause()
"""
    _as_controller(monkeypatch, tmp_path, program)
    said = _refusal(controller, Unavailable)
    assert said.startswith("The controller says it serves, but:")


def test_being_interrupted_while_starting(
    controller: LocalController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_controller(monkeypatch, tmp_path, "import signal; signal.pause()")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("iris.lifecycle.local.controller.wait_for_answer", interrupt)
    with LeakCheck(), pytest.raises(KeyboardInterrupt):
        controller.start()
    assert not controller.state_folder.is_locked()


def test_what_the_controller_gets_of_our_environment(
    controller: LocalController, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_controller(monkeypatch, tmp_path, "import os, sys; print(sorted(os.environ)); sys.exit(1)")
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("HOME", "/home/ada")
    _refusal(controller, Unavailable)
    seen = controller.fetch_startup_logs() or ""
    assert "SECRET" not in seen
    assert {"HOME", "PYTHONPATH", "TMPDIR"} <= set(eval(seen))
    assert ProcessIdentity.current().is_alive()
    assert sys.executable
