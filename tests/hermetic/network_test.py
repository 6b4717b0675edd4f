"""A test can talk to itself over loopback, and to nobody else."""

import errno
import os
import socket
import subprocess
import sys

import pytest

from iris.smoke.isolation import (
    FOREIGN_ADDRESSES,
    LINUX_SANDBOX,
    interfaces,
    look_around,
    route_error,
    seen_sandbox,
)

needs_linux_sandbox = pytest.mark.skipif(
    seen_sandbox() != LINUX_SANDBOX,
    reason=f"only linux-sandbox takes the network away; this is {seen_sandbox() or 'none'}",
)

UNREACHABLE = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EHOSTUNREACH}
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 9), timeout=2)"


def test_loopback_works() -> None:
    """The control: the probes below fail for the network's sake, not for their own."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        accepted, _ = server.accept()
        with accepted:
            client.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
    assert route_error("127.0.0.1") == ""


@needs_linux_sandbox
def test_there_is_no_interface_but_loopback() -> None:
    assert interfaces() == ("lo",)
    assert look_around().has_own_network


@needs_linux_sandbox
@pytest.mark.parametrize("address", FOREIGN_ADDRESSES)
def test_no_other_address_can_be_reached(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as one, pytest.raises(OSError) as refused:
        one.connect((address, 443))
    assert refused.value.errno in UNREACHABLE
    assert route_error(address)


@needs_linux_sandbox
def test_nor_can_a_child_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONNECT, FOREIGN_ADDRESSES[0]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert os.strerror(errno.ENETUNREACH) in done.stderr
