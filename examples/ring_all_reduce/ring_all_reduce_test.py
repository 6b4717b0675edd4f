"""The ring example: real processes, real TCP, on ports that were free a moment ago."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("ring_all_reduce.py")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different because they are held at the same time."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in held]
    for server in held:
        server.close()
    return ports


def run_gang(size: int, elements: int) -> list[subprocess.CompletedProcess[str]]:
    coordinator, *ring = free_ports(size + 1)
    members = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), "--elements", str(elements)],
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "IRIS_JOB_ID": "/test/ring",
                "IRIS_TASK_INDEX": str(index),
                "IRIS_NUM_TASKS": str(size),
                "IRIS_PEER_HOSTS": ",".join(["127.0.0.1"] * size),
                "IRIS_PORT_RING": str(ring[index]),
                "RING_COORDINATOR_PORT": str(coordinator),
                "TPU_NAME": "slice-1",
                "TPU_WORKER_ID": str(index),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(size)
    ]
    outcomes = [(member, member.communicate(timeout=60)) for member in members]
    return [
        subprocess.CompletedProcess(m.args, m.returncode, out, err) for m, (out, err) in outcomes
    ]


@pytest.mark.parametrize(("size", "elements"), [(1, 10), (2, 1001), (4, 100_003), (5, 3)])
def test_every_member_ends_with_the_sums(size: int, elements: int) -> None:
    members = run_gang(size, elements)

    for index, member in enumerate(members):
        assert member.returncode == 0, member.stderr
        assert f"member {index} of {size} on VM {index} of slice-1 met the others" in member.stdout
        assert f"over {size} members: all {elements:,} sums are right" in member.stdout
