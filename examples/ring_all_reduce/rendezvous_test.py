"""How gang members meet: strangers are turned away, and a missing member is said after a bounded
time.
"""

import socket
import threading

import pytest
from rendezvous import Address, Member, meet


def free_address() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address: Address = server.getsockname()
        return address


def call_until_heard(coordinator: Address, message: bytes) -> bytes:
    """Sends a line as soon as somebody listens, and returns the answer."""
    while True:
        try:
            with socket.create_connection(coordinator, timeout=30) as peer:
                peer.sendall(message)
                return peer.makefile("rb").readline()
        except ConnectionRefusedError:
            threading.Event().wait(0.005)


def test_strangers_are_turned_away_and_do_not_count() -> None:
    coordinator = free_address()
    met: dict[int, list[Address]] = {}

    def member(index: int) -> None:
        met[index] = meet(
            Member("/test/ring", index, ("127.0.0.1", 1000 + index)), 2, coordinator, 30
        )

    host = threading.Thread(target=member, args=(0,))
    host.start()
    answers = [
        call_until_heard(coordinator, line)
        for line in (
            b"GET / HTTP/1.1\n",
            b"[]\n",
            b'{"gang": "/other/ring", "index": 1, "host": "h", "port": 1}\n',
        )
    ]
    guest = threading.Thread(target=member, args=(1,))
    guest.start()
    host.join()
    guest.join()

    assert answers == [b"", b"", b""]
    assert met == {index: [("127.0.0.1", 1000), ("127.0.0.1", 1001)] for index in (0, 1)}


@pytest.mark.parametrize(
    ("index", "problem"),
    [(0, "1 of 2 members came|timed out"), (1, "nobody listened on")],
    ids=["host", "guest"],
)
def test_a_missing_member_is_said(index: int, problem: str) -> None:
    with pytest.raises(TimeoutError, match=problem):
        meet(Member("/test/ring", index, ("127.0.0.1", 1)), 2, free_address(), 0.05)
