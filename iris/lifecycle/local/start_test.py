"""Tests of starting a local controller: with the real one, in processes of its own."""

import asyncio
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.host.processes import ProcessHandle, end_processes
from iris.lifecycle.local.controller import LocalController
from iris.lifecycle.local.sample_cluster import run_program, running_program, sample_config
from iris.model.errors import (
    FailedPrecondition,
)
from iris.testing.eventually import assert_eventually

_START_AND_WAIT = """
LocalController(config, attached=True).start()
print("up", flush=True)
sys.stdin.read()
"""
_START_DETACHED = "print(LocalController(config).start().address)"
_START_ATTACHED = """
try:
    LocalController(config, attached=True).start()
except IrisError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def controller(state_dir: Path) -> Iterator[LocalController]:
    controller = LocalController(sample_config(state_dir), attached=True)
    yield controller
    controller.stop()


def test_from_nothing_to_healthy(controller: LocalController, state_dir: Path) -> None:
    assert controller.fetch_startup_logs() is None
    assert controller.discover() is None
    status = controller.start()
    assert status.running
    assert status.healthy
    assert not status.problem
    assert status.version
    assert status.vm_name == socket.gethostname()
    assert status.uptime is not None
    assert controller.discover() == status.address
    assert f"cluster sample serves at {status.address}" in (controller.fetch_startup_logs() or "")
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((state_dir / "token").stat().st_mode) == 0o600
    token = controller.state_folder.read_token()
    logs = [path.read_text() for path in state_dir.glob("*.log")]
    assert len(logs) == 2
    assert not any(token in log for log in logs), "the token is never logged"
    assert controller.state_folder.read_config() == sample_config(state_dir)


def test_machines_that_are_always_wanted_come_at_once(state_dir: Path) -> None:
    config = sample_config(state_dir)
    config.scale_groups["cpu"].min_slices = 2
    controller = LocalController(config, attached=True)
    try:
        controller.start()
        log = controller.state_folder.controller_log

        def both_attached() -> bool:
            return log.read_text().count("attached with 0 attempts") == 2

        asyncio.run(assert_eventually(both_attached, "two workers attach"))
        assert "failed" not in log.read_text()
    finally:
        controller.stop()


def test_starting_twice_changes_nothing(controller: LocalController, state_dir: Path) -> None:
    first = controller.start()
    record = controller.state_folder.read_record()
    assert controller.start().address == first.address
    again = LocalController(sample_config(state_dir), attached=True)
    assert again.start().address == first.address, "another object of the same process"
    assert controller.state_folder.read_record() == record


def test_a_detached_one_is_shared_and_outlives_its_starter(tmp_path: Path, state_dir: Path) -> None:
    config = sample_config(state_dir)
    controller = LocalController(config)
    try:
        address = run_program(_START_DETACHED, config, tmp_path)
        assert controller.discover() == address
        assert run_program(_START_DETACHED, config, tmp_path) == address
        assert controller.start().address == address
    finally:
        controller.stop()


def test_an_attached_start_refuses_somebody_elses(
    controller: LocalController, tmp_path: Path, state_dir: Path
) -> None:
    status = controller.start()
    record = controller.state_folder.read_record()
    assert record is not None
    said = run_program(_START_ATTACHED, sample_config(state_dir), tmp_path)
    assert said == (
        f"FailedPrecondition Cluster 'sample' runs already ({record.process}, {status.address}) "
        f"on the state folder {state_dir}. Use it, stop it, or choose another state folder."
    )
    assert controller.discover() == status.address, "nothing was harmed"


def test_two_starts_at_once(tmp_path: Path, state_dir: Path) -> None:
    program = """
try:
    print(LocalController(config).start().address)
except IrisError as error:
    print(error)
"""
    config = sample_config(state_dir)
    controller = LocalController(config)
    try:
        with (
            running_program(program, config, tmp_path) as one,
            running_program(program, config, tmp_path) as two,
        ):
            said = [process.communicate(timeout=60)[0].strip() for process in (one, two)]
        address = controller.discover()
        assert address in said, "one of them won"
        (other,) = [text for text in said if text != address] or [address]
        assert other == address or other.startswith("Another controller ("), other
    finally:
        controller.stop()


def test_a_killed_starter_takes_its_controller_along(tmp_path: Path, state_dir: Path) -> None:
    config = sample_config(state_dir)
    controller = LocalController(config)
    with running_program(_START_AND_WAIT, config, tmp_path) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "up\n"
        record = controller.state_folder.running()
        assert record is not None
        assert controller.status().healthy
        handle = ProcessHandle.open(record.process)
        assert handle is not None
        starter.kill()
        with handle:
            assert handle.wait(30)
    assert not controller.status().running
    assert controller.state_folder.read_record() is None, "it ended in good order"
    assert not controller.state_folder.is_locked()
    controller.stop()


def test_a_dead_predecessor_is_no_obstacle(controller: LocalController) -> None:
    controller.start()
    record = controller.state_folder.running()
    assert record is not None
    end_processes([record.process], grace=0, deadline=10)
    assert controller.state_folder.read_record() == record, "killed, so it could not tidy up"
    status = controller.status()
    assert (status.running, status.healthy) == (False, False)
    assert status.problem == "Cluster 'sample' is not running. Start it."
    assert controller.discover() is None
    assert controller.start().healthy
    assert controller.state_folder.running() != record


def test_another_clusters_state_folder_is_not_touched(
    controller: LocalController, state_dir: Path
) -> None:
    address = controller.start().address
    config = sample_config(state_dir)
    config.name = "other"
    other = LocalController(config)
    for action in (other.start, other.stop, other.restart, other.reload):
        with pytest.raises(FailedPrecondition, match="is in use by another cluster, 'sample'"):
            action()
    assert not other.status().running
    assert other.discover() is None
    assert controller.discover() == address
