"""What happened on a VM can be read while it comes up, and for a while after its end; nothing grows without bound."""

from pathlib import Path

import pytest

from iris.model.errors import NotFound
from iris.platforms.init_log import InitLog, InitLogs
from iris.testing.clock import FakeClock


@pytest.fixture
def log() -> InitLog:
    return InitLog(FakeClock().now)


async def test_lines_have_their_time(log: InitLog) -> None:
    log.add("connecting\nclaimed")
    first, second = (await log.text()).splitlines()
    assert first.endswith(" connecting")
    assert len(first.split()[0]) == len("12:00:00.000")
    assert second.endswith(" claimed")
    assert (await log.text(1)).splitlines() == [second]


async def test_only_so_much_is_kept(log: InitLog) -> None:
    log.add("\n".join(f"line {number}" for number in range(3000)))
    log.add("x" * 100_000)
    lines = (await log.text()).splitlines()
    assert len(lines) == 2000
    assert lines[0].endswith("line 1001")
    assert len(lines[-1]) < 5000


async def test_the_worker_s_file_is_a_part_of_it_and_outlives_itself(
    log: InitLog, tmp_path: Path
) -> None:
    file = tmp_path / "worker.log"
    log.add("booting")
    log.follow(file)
    assert (await log.text()).endswith("booting\n"), "it is not there yet"
    file.write_bytes(b"caf\xe9\nattached\n")
    assert (await log.text()).endswith("booting\ncaf\ufffd\nattached\n")
    assert await log.text(1) == "attached\n"
    await log.keep_file()
    file.unlink()
    log.add("stopping")
    assert [line.split()[-1] for line in (await log.text()).splitlines()] == [
        "booting",
        "caf\ufffd",
        "attached",
        "stopping",
    ]


async def test_of_a_large_file_the_end_is_read(log: InitLog, tmp_path: Path) -> None:
    file = tmp_path / "worker.log"
    file.write_text("".join(f"line {number:06}\n" for number in range(100_000)))
    log.follow(file)
    lines = (await log.text()).splitlines()
    assert lines[-1] == "line 099999"
    assert 10_000 < len(lines) < 100_000
    assert all(len(line) == len("line 000000") for line in lines), "none begins in its middle"


def test_a_vm_s_log_is_found_and_after_its_end_too() -> None:
    logs = InitLogs(FakeClock().now)
    logs.of("a/0").add("booting")
    assert logs.of("a/0") is logs.find("a/0")
    logs.gone("a/0")
    logs.gone("a/0")
    assert len(logs.find("a/0").said()) == 1
    with pytest.raises(NotFound, match="no VM 'b/0'"):
        logs.find("b/0")


def test_those_that_are_gone_are_forgotten_in_the_end() -> None:
    logs = InitLogs(FakeClock().now)
    logs.of("here")
    for number in range(300):
        logs.of(f"a/{number}")
        logs.gone(f"a/{number}")
    logs.find("a/100")
    logs.find("here")
    with pytest.raises(NotFound):
        logs.find("a/99")
