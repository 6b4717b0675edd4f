"""Whether there are PID namespaces is found out, not assumed. What they do: see the runtime's tests."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from iris.worker.runtime import namespaces, raw_fork


def test_a_machine_that_is_not_known_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_fork, "_SYS_CLONE", {})
    with pytest.raises(OSError, match="not known"):
        namespaces.fork()
    assert namespaces.probe() == "clone: this system's clone is not known"


def test_one_that_cannot_mount_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *arguments: object) -> None:
        raise PermissionError(1, f"{name}: Operation not permitted")

    monkeypatch.setattr(namespaces, "_call", refuse)
    assert namespaces.probe()


def test_the_answer_is_the_same_every_time() -> None:
    before = namespaces.probe()
    assert namespaces.probe() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.skipif(
    bool(namespaces.probe()) or namespaces.kernel_version() < (6, 14),
    reason="this kernel does not bound the processes of a PID namespace",
)
def test_a_namespace_has_no_more_processes_than_it_may() -> None:
    before = _pid_max()
    most = 20

    def fork_until_refused() -> int:
        assert namespaces.bound_processes(most)
        children = 0
        try:
            while children < 10_000:
                if os.fork() == 0:
                    signal.pause()
                children += 1
        except OSError as error:
            assert error.errno == errno.EAGAIN
        return children

    assert most <= _in_namespace(fork_until_refused) <= most + 300
    assert _pid_max() == before


def test_the_bound_of_the_machine_is_not_ours_to_change() -> None:
    before = _pid_max()
    assert not namespaces.bound_processes(20)
    assert _pid_max() == before


def _pid_max() -> str:
    return Path("/proc/sys/kernel/pid_max").read_text()


def _in_namespace(call: Callable[[], int]) -> int:
    """What it returns as the first process of one."""
    user, group = os.geteuid(), os.getegid()
    reader, writer = os.pipe()
    init = namespaces.fork()
    if init == 0:
        try:
            namespaces.settle(user, group)
            os.write(writer, b"%d" % call())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(init, 0)
    with os.fdopen(reader) as answer:
        return int(answer.read())
