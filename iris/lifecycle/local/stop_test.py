"""Tests of stopping and asking a local controller, from this process and from others."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from iris.host.processes import ProcessHandle
from iris.lifecycle.local.controller import LocalController, LocalTimeouts
from iris.lifecycle.local.sample_cluster import run_program, sample_config
from iris.model.errors import Internal

_STOP = "LocalController(config).stop(); print(LocalController(config).status().running)"
_PAUSE = "import signal; print('up', flush=True); signal.pause()"


@pytest.fixture
def controller(state_dir: Path) -> Iterator[LocalController]:
    controller = LocalController(sample_config(state_dir), attached=True)
    controller.start()
    yield controller
    controller.stop()


def test_stopping_twice(controller: LocalController) -> None:
    record = controller.state_folder.running()
    assert record is not None
    controller.stop()
    assert not record.process.is_alive()
    assert controller.state_folder.read_record() is None
    assert not controller.state_folder.is_locked()
    controller.stop()
    status = controller.status()
    assert (status.running, status.address, status.healthy) == (False, "", False)


def test_stopping_what_was_never_started(tmp_path: Path) -> None:
    controller = LocalController(sample_config(tmp_path / "never"))
    controller.stop()
    assert not (tmp_path / "never").exists()


def test_stopping_from_another_process(
    controller: LocalController, tmp_path: Path, state_dir: Path
) -> None:
    record = controller.state_folder.running()
    assert record is not None
    assert run_program(_STOP, sample_config(state_dir), tmp_path) == "False"
    assert not record.process.is_alive()
    assert controller.discover() is None


def test_a_hung_controller_is_seen_and_can_be_stopped(
    controller: LocalController, state_dir: Path
) -> None:
    record = controller.state_folder.running()
    assert record is not None
    os.kill(record.process.pid, signal.SIGSTOP)
    impatient = LocalController(
        sample_config(state_dir), timeouts=LocalTimeouts(health=timedelta(seconds=0.2))
    )
    status = impatient.status()
    assert status.running
    assert not status.healthy
    assert status.problem.startswith(f"{record.process} runs but does not answer:")
    assert impatient.discover() is None
    impatient.stop()
    assert not record.process.is_alive()


def test_another_cluster_at_the_published_address(
    controller: LocalController, tmp_path: Path
) -> None:
    other = LocalController(sample_config(tmp_path / "other"), attached=True)
    other.start()
    try:
        mine, theirs = controller.state_folder, other.state_folder
        fields = json.loads(theirs.record_file.read_bytes())
        record = mine.read_record()
        assert record is not None
        honest = mine.record_file.read_bytes()
        fields |= {"pid": record.process.pid, "start_time": record.process.start_time}
        fields["incarnation"] = record.incarnation
        mine.record_file.write_text(json.dumps(fields))
        status = controller.status()
        assert not status.healthy
        assert status.problem.startswith("Another cluster, 'sample' (")
        assert controller.discover() is None
        mine.record_file.write_bytes(honest)
        assert controller.status().healthy
    finally:
        other.stop()


def test_stop_says_what_is_left(state_dir: Path) -> None:
    hasty = LocalTimeouts(leftovers=timedelta(seconds=0.1))
    controller = LocalController(sample_config(state_dir), attached=True, timeouts=hasty)
    controller.start()
    home = state_dir / "cache" / "vms" / "vm" / "home"
    fake = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PAUSE],
        env={"IRIS_ATTEMPT_ID": "attempt-1", "HOME": str(home)},
        stdout=subprocess.PIPE,
    )
    with fake:
        try:
            assert fake.stdout is not None
            assert fake.stdout.readline() == b"up\n"
            (state_dir / ".token.x.tmp").touch()
            with pytest.raises(Internal) as caught:
                controller.stop()
            said = str(caught.value)
            assert said.startswith("Cluster 'sample' was stopped but left behind: ")
            assert f"pid {fake.pid} ({sys.executable}"[:60] in said
            assert f"temporary file {state_dir / '.token.x.tmp'}" in said
        finally:
            fake.kill()
    (state_dir / ".token.x.tmp").unlink()
    controller.stop()


def test_a_stranger_is_not_taken_for_ours(controller: LocalController, tmp_path: Path) -> None:
    stranger = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PAUSE],
        env={"IRIS_ATTEMPT_ID": "attempt-1", "HOME": str(tmp_path / "elsewhere")},
        stdout=subprocess.PIPE,
    )
    with stranger:
        try:
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == b"up\n"
            controller.stop()
            assert stranger.poll() is None
        finally:
            stranger.kill()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_good_order(controller: LocalController, signum: signal.Signals) -> None:
    record = controller.state_folder.running()
    assert record is not None
    with ProcessHandle.open(record.process) as handle:
        handle.send(signum)
        assert handle.wait(30)
    assert controller.state_folder.read_record() is None
    assert not controller.state_folder.is_locked()
    log = controller.state_folder.controller_log.read_text()
    assert log.endswith("stopped\n")
    assert " E " not in log
