"""A child that is tied to this process, and one that is let go and taken up again."""

import os
import signal
import sys
from pathlib import Path

import pytest

from iris.platforms.local.linked_process import LinkedProcess

_ECHO = "import sys\nfor line in sys.stdin: print('said', line.strip(), flush=True)\nsys.exit(3)\n"


def _spawn(program: str, log: str = os.devnull) -> LinkedProcess:
    argv = (sys.executable, "-I", "-S", "-c", program)
    return LinkedProcess.spawn(argv, {"PATH": os.defpath}, Path(log))


async def test_it_is_told_and_says_lines_and_ends_with_its_lifeline() -> None:
    process = _spawn(_ECHO)
    for word in ("one", "two"):
        await process.tell(word)
        assert await process.next_line() == f"said {word}"
    await process.end(30)
    assert await process.wait() == 3
    assert await process.next_line() == ""
    await process.end(30)


async def test_a_line_longer_than_the_pipe() -> None:
    process = _spawn("import sys; print(len(sys.stdin.readline()))")
    await process.tell("x" * 300_000)
    assert await process.next_line() == "300001"
    await process.end(30)


async def test_what_it_writes_beside_its_lines_is_appended_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    for word in ("one", "two"):
        process = _spawn(f"import sys; print({word!r}, file=sys.stderr); print('a line')", str(log))
        assert await process.next_line() == "a line"
        await process.end(30)
    assert log.read_text() == "one\ntwo\n"
    assert log.stat().st_mode & 0o777 == 0o600


async def test_one_that_does_not_listen_is_killed() -> None:
    process = _spawn("import time\nprint('here', flush=True)\nwhile True: time.sleep(1000)")
    assert await process.next_line() == "here"
    await process.end(0)
    assert await process.wait() == -signal.SIGKILL


async def test_it_can_be_killed_and_only_once() -> None:
    process = _spawn(_ECHO)
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    process.kill()
    assert await process.next_line() == ""
    await process.end(30)


async def test_one_that_ended_can_be_told_something() -> None:
    process = _spawn("")
    assert await process.wait() == 0
    await process.tell("too late")
    assert await process.next_line() == ""
    await process.end(30)


async def test_no_such_program() -> None:
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(FileNotFoundError):
        LinkedProcess.spawn(("/no/such/program",), {}, Path(os.devnull))
    assert len(os.listdir("/dev/fd")) == before


async def test_it_is_taken_up_again() -> None:
    first = _spawn(_ECHO)
    await first.tell("one")
    assert await first.next_line() == "said one"
    links = first.let_go()
    again = LinkedProcess(links)
    assert again.pid == first.pid
    await again.tell("two")
    assert await again.next_line() == "said two"
    await again.end(30)
    assert await again.wait() == 3


async def test_one_that_has_ended_is_silent() -> None:
    process = _spawn("print('bye')")
    assert await process.next_line() == "bye"
    assert await process.next_line() == ""
    assert process.is_silent
    await process.end(30)
