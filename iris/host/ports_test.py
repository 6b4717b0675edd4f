"""No port is given twice, to nobody, for as long as it is leased."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.host import ports
from iris.host.ports import LOOPBACK, PortAllocator
from iris.model.errors import ResourceExhausted


@pytest.fixture
def allocator() -> Iterator[PortAllocator]:
    allocator = PortAllocator()
    yield allocator
    allocator.close()


def can_listen(port: int) -> bool:
    with socket.socket() as server:
        try:
            server.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def offering(monkeypatch: pytest.MonkeyPatch, numbers: list[int]) -> None:
    """Makes the kernel offer these numbers, one after the other."""

    def bind(_: str) -> socket.socket:
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, numbers.pop(0)))
        return held

    monkeypatch.setattr(ports, "_bind_any", bind)


def test_leased_ports_differ_and_are_held(allocator: PortAllocator) -> None:
    leases = [allocator.lease(f"port-{number}") for number in range(50)]
    numbers = {lease.port for lease in leases}
    assert len(numbers) == 50
    assert allocator.leased() == numbers
    assert not any(can_listen(number) for number in numbers)


def test_a_port_that_was_handed_over_can_be_bound_but_stays_leased(
    allocator: PortAllocator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = allocator.lease("http")
    assert lease.hand_over() == lease.hand_over() == lease.port
    assert can_listen(lease.port)
    other = PortAllocator().lease("other")
    other.hand_over()
    offering(monkeypatch, [lease.port, other.port])
    assert allocator.lease("again").port == other.port


def test_a_released_port_may_be_leased_again(
    allocator: PortAllocator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = allocator.lease("http")
    lease.release()
    lease.release()
    assert allocator.leased() == frozenset()
    offering(monkeypatch, [lease.port])
    assert allocator.lease("again").port == lease.port


def test_allocators_that_share_a_folder_never_give_the_same_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = PortAllocator(tmp_path / "leases"), PortAllocator(tmp_path / "leases")
    taken = first.lease("http")
    taken.hand_over()
    free = second.lease("probe")
    free.release()
    offering(monkeypatch, [taken.port, free.port])
    assert second.lease("http").port == free.port
    first.close()
    second.close()


def test_the_leases_of_a_process_that_was_killed_are_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import sys, pathlib; from iris.host.ports import PortAllocator;"
        "a = PortAllocator(pathlib.Path(sys.argv[1])); print(a.lease('x').hand_over(), flush=True); sys.stdin.read()"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    argv = [sys.executable, "-c", script, str(tmp_path / "leases")]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as other:
        assert other.stdout is not None
        number = int(other.stdout.readline())
        ours = PortAllocator(tmp_path / "leases")
        assert not ours._try_lock(number)[0]
        other.kill()
    offering(monkeypatch, [number])
    assert ours.lease("x").port == number
    ours.close()


def test_when_all_that_is_offered_is_taken_it_says_so(
    allocator: PortAllocator, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = allocator.lease("http")
    lease.hand_over()
    monkeypatch.setattr(ports, "_MAX_TRIES", 3)
    offering(monkeypatch, [lease.port] * 3)
    with pytest.raises(ResourceExhausted, match="No port for more"):
        allocator.lease("more")
