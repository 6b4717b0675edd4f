"""Tests of the Debian route between processes: two starts at once, and a start that is killed."""

import dataclasses
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.bazel.bootstrap import debian
from tools.bazel.bootstrap.debian import Installation, Machine, install
from tools.bazel.bootstrap.errors import BootstrapError
from tools.bazel.bootstrap.fake_machine import PROCESS_SECONDS, FakeMachine

_FETCHED = 5
"""How many of the fake archive's packages are not left out."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    fake = FakeMachine(tmp_path / "machine")
    fake.add_debian(offers={"forky": "7.7.1+ds-8+b1"})
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    return fake


@dataclasses.dataclass
class Starts:
    """Starts of the bootstrap as processes of their own, over downloads that wait to be let go."""

    machine: FakeMachine
    wanted: Installation
    processes: list[subprocess.Popen[bytes]]
    downloading: int
    release: int

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-B", "-S", "-m", "tools.bazel.bootstrap"),
                *("--root", self.wanted.root, "--version", self.wanted.version),
                *(
                    "--apt_folder",
                    self.machine.apt_folder,
                    "--keyring",
                    self.machine.keyring,
                ),
            ],
            env={
                **self.machine.environment,
                "PYTHONPATH": str(Path(debian.__file__).parents[3]),
            },
            stderr=subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    def wait_for_download(self) -> None:
        """Returns when a download is half done and waits."""
        readable, _, _ = select.select([self.downloading], [], [], PROCESS_SECONDS)
        assert readable, "no download has begun"
        os.read(self.downloading, 100)

    def let_go(self) -> None:
        os.write(self.release, b"x")


@pytest.fixture
def starts(machine: FakeMachine) -> Iterator[Starts]:
    pipes = [machine.debian / "downloading", machine.debian / "release"]
    for pipe in pipes:
        os.mkfifo(pipe)
    # Open for both, so that neither side ever waits for the other to open it.
    descriptors = [os.open(pipe, os.O_RDWR) for pipe in pipes]
    wanted = Installation(machine.cache / "debian-7.7.1", "7.7.1")
    started = Starts(machine, wanted, [], *descriptors)
    yield started
    for process in started.processes:
        process.kill()
        process.communicate()
    # A download left behind by a killed start reads the end of the pipe, and ends.
    for pipe, descriptor in zip(pipes, descriptors, strict=True):
        pipe.unlink()
        os.close(descriptor)


def _read_until(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Returns when the process has written `text` to its standard error."""
    assert process.stderr is not None
    descriptor = process.stderr.fileno()
    said = b""
    end = time.monotonic() + PROCESS_SECONDS
    while text not in said:
        readable, _, _ = select.select([descriptor], [], [], max(0, end - time.monotonic()))
        chunk = os.read(descriptor, 4096) if readable else b""
        assert chunk, f"the process did not say {text!r}, only {said!r}"
        said += chunk


def test_two_at_once_do_the_work_once(starts: Starts, machine: FakeMachine) -> None:
    first = starts.start()
    starts.wait_for_download()
    second = starts.start()
    _read_until(second, b"another bazelw is preparing the same Bazel")
    starts.let_go()

    for process in (first, second):
        process.communicate(timeout=PROCESS_SECONDS)
        assert process.returncode == 0
    assert starts.wanted.is_complete
    assert len(machine.calls("fetch")) == _FETCHED
    assert len(machine.calls("dpkg-deb")) == _FETCHED


def test_killed_half_way_the_next_start_goes_on(starts: Starts, machine: FakeMachine) -> None:
    first = starts.start()
    starts.wait_for_download()
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=PROCESS_SECONDS)
    half = len(machine.calls("fetch"))
    assert 0 < half < _FETCHED
    assert not starts.wanted.root.exists()

    # The download that was left behind still writes: the next start waits for its end.
    second = starts.start()
    _read_until(second, b"another bazelw is preparing the same Bazel")
    starts.let_go()
    starts.wait_for_download()
    starts.let_go()
    second.communicate(timeout=PROCESS_SECONDS)

    assert second.returncode == 0
    assert starts.wanted.is_complete
    assert len(machine.calls("fetch")) == _FETCHED


def test_a_stuck_owner_of_the_lock_is_not_waited_for_for_ever(
    starts: Starts, machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts.start()
    starts.wait_for_download()
    monkeypatch.setattr(debian, "_LOCK_SECONDS", 1)

    with pytest.raises(BootstrapError, match=r"another bazelw held .* for 1 s"):
        install(starts.wanted, Machine(machine.apt_folder, (machine.keyring,)), print)
