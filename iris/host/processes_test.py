"""Tests of identities, handles and trees, with real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from iris.host.processes import (
    ProcessHandle,
    ProcessIdentity,
    all_processes,
    command_line,
    descendants,
    end_processes,
    process_strings,
)

_WAIT = "import sys; print('up', flush=True); sys.stdin.read()"
_IGNORE = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + _WAIT
_PARENT = """
import subprocess, sys
pipe = subprocess.PIPE
argv = [sys.executable, "-I", "-S", "-c", sys.argv[1]]
child = subprocess.Popen(argv, stdin=pipe, stdout=pipe)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def _running(program: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python process that has said one line, and that line; killed and reaped at the end."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program, *arguments],
        env={"MARK": "of this test"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def _identity(process: subprocess.Popen[str]) -> ProcessIdentity:
    identity = ProcessIdentity.of(process.pid)
    assert identity is not None
    return identity


def test_identity() -> None:
    assert ProcessIdentity.current() == ProcessIdentity.of(os.getpid())
    assert ProcessIdentity.current().is_alive()
    with _running(_WAIT) as (process, _):
        identity = _identity(process)
        assert identity == _identity(process)
        assert identity.is_alive()
        assert identity in all_processes()
        assert not ProcessIdentity(identity.pid, identity.start_time - 1).is_alive()
    assert not identity.is_alive()
    assert ProcessIdentity.of(process.pid) is None


def test_a_zombie_is_not_alive() -> None:
    with _running(_WAIT) as (process, _):
        identity = _identity(process)
        with ProcessHandle.open(identity) as handle:
            handle.send(signal.SIGKILL)
            assert handle.wait(10)
            assert not identity.is_alive(), "killed, but not reaped yet"
            assert ProcessIdentity.of(process.pid) is None
            assert process.returncode is None
            assert identity not in all_processes()


def test_no_handle_on_a_stranger_with_the_same_pid() -> None:
    own = ProcessIdentity.current()
    assert ProcessHandle.open(ProcessIdentity(own.pid, own.start_time - 1)) is None
    assert ProcessHandle.open(ProcessIdentity(2**22 + 1, 5)) is None


def test_a_handle_waits_and_signals() -> None:
    with _running(_WAIT) as (process, _):
        handle = ProcessHandle.open(_identity(process))
        assert handle is not None
        assert not handle.wait(0)
        assert handle.send(signal.SIGTERM)
        assert handle.wait(10)
        process.wait()
        assert not handle.send(signal.SIGTERM)
        assert process.returncode == -signal.SIGTERM
        handle.close()
        handle.close()


def test_descendants() -> None:
    with _running(_PARENT, _PARENT.replace("sys.argv[1]", repr(_WAIT))) as (process, line):
        root = _identity(process)
        found = descendants(root)
        assert len(found) == 2
        assert found[0].pid == int(line)
        assert set(found) < set(descendants(ProcessIdentity.current()))
        end_processes([root, *found], grace=10, deadline=10)
    assert descendants(root) == ()


def test_command_line_and_environment() -> None:
    with _running(_WAIT) as (process, _):
        identity = _identity(process)
        assert command_line(identity).startswith(f"{sys.executable} -I -S -c import sys;")
        assert "MARK=of this test" in process_strings(identity, "environ")
    assert command_line(identity) == ""


def test_ending_gently_and_by_force() -> None:
    with _running(_WAIT) as (gentle, _), _running(_IGNORE) as (stubborn, _):
        ids = [_identity(gentle), _identity(stubborn)]
        assert end_processes(ids, grace=0.05, deadline=20) == ()
        assert gentle.wait() == -signal.SIGTERM
        assert stubborn.wait() == -signal.SIGKILL
        assert end_processes(ids, grace=0, deadline=0) == ()


def test_ending_a_stopped_process() -> None:
    with _running(_WAIT) as (process, _):
        identity = _identity(process)
        os.kill(process.pid, signal.SIGSTOP)
        assert end_processes([identity], grace=20, deadline=20) == ()
        assert process.wait() == -signal.SIGTERM


@pytest.mark.parametrize("grace", [0.0, 0.1])
def test_what_still_runs_is_told(grace: float, monkeypatch: pytest.MonkeyPatch) -> None:
    with _running(_IGNORE) as (process, _):
        identity = _identity(process)
        monkeypatch.setattr(ProcessHandle, "send", lambda self, signum: True)
        assert end_processes([identity], grace=grace, deadline=grace) == (identity,)
