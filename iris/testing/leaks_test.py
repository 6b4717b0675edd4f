"""Tests that each kind of leak is seen, and named."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.testing.leaks import LeakCheck

_ORPHAN = """
import subprocess, sys
argv = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, start_new_session=True)
print(child.pid, flush=True)
"""


@pytest.fixture
def check() -> Iterator[LeakCheck]:
    check = LeakCheck()
    yield check
    assert check.leftovers() == [], "what the test made is gone again"


def test_nothing() -> None:
    with LeakCheck():
        pass


def test_a_process(check: LeakCheck) -> None:
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
    ) as child:
        try:
            (left,) = check.leftovers(timeout=0)
            assert left.startswith(f"process {child.pid} (")
        finally:
            child.kill()


if sys.platform == "linux":  # Elsewhere an orphan goes to init, out of sight.

    def test_a_process_whose_parent_is_gone(check: LeakCheck) -> None:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _ORPHAN], stdout=subprocess.PIPE, check=True
        )
        pid = int(done.stdout)
        try:
            (left,) = check.leftovers(timeout=0)
            assert left.startswith(f"process {pid} (")
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_a_port(check: LeakCheck) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert check.leftovers(timeout=0) == [f"port 127.0.0.1:{server.getsockname()[1]}"]


def test_a_unix_socket(check: LeakCheck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        server.listen()
        left = check.leftovers(timeout=0)
        assert any(what == "socket s" for what in left), left


def test_a_thread(check: LeakCheck) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="forgotten")
    thread.start()
    assert check.leftovers(timeout=0) == ["thread forgotten"]
    done.set()
    thread.join()


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "before").touch()
    check = LeakCheck([tmp_path])
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").touch()
    assert check.leftovers(timeout=0) == [
        f"file {tmp_path / 'new'}",
        f"file {tmp_path / 'new' / 'file'}",
    ]


def test_the_block_fails_naming_what_is_left(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=f"left behind: file {tmp_path / 'new'}"):
        check = LeakCheck([tmp_path])
        (tmp_path / "new").touch()
        check.assert_no_leaks(timeout=0)


def test_an_error_in_the_block_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="first"), LeakCheck([tmp_path]):
        (tmp_path / "new").touch()
        raise ValueError("first")


def test_what_is_expected_may_stay(tmp_path: Path) -> None:
    check = LeakCheck([tmp_path], expected=lambda what: what.endswith(".log"))
    (tmp_path / "a.log").touch()
    (tmp_path / "b").touch()
    assert check.leftovers(timeout=0) == [f"file {tmp_path / 'b'}"]


def test_what_is_about_to_end_may_do_so(check: LeakCheck) -> None:
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait, name="ending")
    thread.start()
    threading.Timer(0.05, gate.set).start()
    assert check.leftovers() == []
    thread.join()
