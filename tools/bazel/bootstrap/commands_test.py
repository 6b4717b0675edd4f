"""Tests of running the machine's programs."""

import fcntl
import os
from pathlib import Path

import pytest

from tools.bazel.bootstrap.commands import Commands
from tools.bazel.bootstrap.errors import BootstrapError

_SECONDS = 20.0


def _run(log: Path, script: str, deadline_seconds: float = _SECONDS) -> str:
    return Commands(log).run(["sh", "-c", script], deadline_seconds=deadline_seconds)


def test_returns_standard_output_and_logs_both(tmp_path: Path) -> None:
    assert _run(tmp_path / "log", "echo out; echo err >&2") == "out\n"

    assert sorted((tmp_path / "log").read_text().split()) == ["err", "out"]


def test_a_failure_says_code_log_and_the_marked_errors(tmp_path: Path) -> None:
    script = "echo Reading...; echo 'E: no space' >&2; echo 'W: later' >&2; exit 7"

    with pytest.raises(BootstrapError) as failure:
        _run(tmp_path / "log", script)

    assert str(failure.value) == (f"sh failed with exit code 7 (log: {tmp_path}/log): E: no space")


def test_a_failure_repeats_only_this_program(tmp_path: Path) -> None:
    _run(tmp_path / "log", "echo 'E: of another' >&2")

    with pytest.raises(BootstrapError, match=r"first \| second$"):
        _run(tmp_path / "log", "echo first >&2; echo second >&2; exit 1")


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(BootstrapError, match="cannot start no-such-program"):
        Commands(tmp_path / "log").run(["no-such-program"], deadline_seconds=_SECONDS)


def test_the_deadline_ends_the_program(tmp_path: Path) -> None:
    with pytest.raises(BootstrapError, match="sh did not end within 0 s"):
        _run(tmp_path / "log", "exec cat /dev/zero >/dev/null", deadline_seconds=0.01)


def test_the_programs_environment_is_added_and_its_language_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "kept")
    commands = Commands(tmp_path / "log", environment={"ADDED": "too"})

    output = commands.run(
        ["sh", "-c", 'echo "$FROM_OUTSIDE $ADDED $LC_ALL"'], deadline_seconds=_SECONDS
    )

    assert output == "kept too C\n"


def test_a_program_left_behind_keeps_the_lock(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    os.mkfifo(tmp_path / "end")
    Commands(tmp_path / "log", (lock,)).run(
        ["sh", "-c", f"(read line <'{tmp_path}/end') >/dev/null 2>&1 &"],
        deadline_seconds=_SECONDS,
    )
    os.close(lock)

    other = os.open(tmp_path / "lock", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    (tmp_path / "end").write_text("now\n")
    fcntl.flock(other, fcntl.LOCK_EX)
    os.close(other)
