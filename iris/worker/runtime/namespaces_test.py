"""Whether there are PID namespaces is found out, not assumed. What they do: see the runtime's tests."""

import os

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
