"""How the members of a gang find each other: all tell member 0 where they listen, and hear where
everyone does.

Member 0 is the coordinator. It listens on a port that all were told beforehand; every other address
is exchanged here, so it may be any free port.
"""

import json
import socket
import time
from dataclasses import dataclass

Address = tuple[str, int]


@dataclass(frozen=True)
class Member:
    """One of the gang.

    Attributes:
        gang: What only this gang's members know of each other, so that a stranger on the port is
            turned away.
        address: Where it listens for its neighbour.
    """

    gang: str
    index: int
    address: Address


def meet(
    me: Member, size: int, coordinator: Address, patience_seconds: float = 60.0
) -> list[Address]:
    """The addresses of all members, by index. Raises TimeoutError when not all came in time."""
    deadline = time.monotonic() + patience_seconds
    return (
        _host(me, size, coordinator, deadline)
        if me.index == 0
        else _join(me, coordinator, deadline)
    )


def _host(me: Member, size: int, coordinator: Address, deadline: float) -> list[Address]:
    addresses = {me.index: me.address}
    guests: list[socket.socket] = []
    with socket.create_server(coordinator) as server:
        while len(addresses) < size:
            server.settimeout(_left(deadline, f"{len(addresses)} of {size} members came"))
            guest, _ = server.accept()
            guest.settimeout(_left(deadline, "a member was silent"))
            member = _read_hello(guest)
            if member is None or member.gang != me.gang:
                guest.close()
                continue
            addresses[member.index] = member.address
            guests.append(guest)
        everyone = [addresses[index] for index in range(size)]
        for guest in guests:
            guest.sendall(json.dumps(everyone).encode() + b"\n")
            guest.close()
    return everyone


def _read_hello(guest: socket.socket) -> Member | None:
    """Who calls; None for somebody who speaks otherwise."""
    try:
        hello = json.loads(guest.makefile().readline())
        return Member(hello["gang"], int(hello["index"]), (hello["host"], int(hello["port"])))
    except (ValueError, KeyError, TypeError):
        return None


def _join(me: Member, coordinator: Address, deadline: float) -> list[Address]:
    host, port = me.address
    hello = {"gang": me.gang, "index": me.index, "host": host, "port": port}
    with _call(coordinator, deadline) as peer:
        peer.settimeout(_left(deadline, "the coordinator was silent"))
        peer.sendall(json.dumps(hello).encode() + b"\n")
        return [(host, port) for host, port in json.loads(peer.makefile().readline())]


def _call(coordinator: Address, deadline: float) -> socket.socket:
    """Connects as soon as the coordinator listens: its process may start later than this one."""
    while True:
        try:
            return socket.create_connection(
                coordinator, timeout=_left(deadline, f"nobody listened on {coordinator}")
            )
        except ConnectionRefusedError:
            time.sleep(0.02)


def _left(deadline: float, problem: str) -> float:
    """Seconds until the deadline. Raises TimeoutError saying what went wrong once there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError(problem)
    return seconds
