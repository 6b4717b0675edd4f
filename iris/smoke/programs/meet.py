"""Gang members meet: each tells member 0 who it is and learns how many came. Succeeds only if all run at the same time.

Usage: meet.py PORT. Member 0 listens there on loopback; the others call until it answers.
"""

import json
import os
import socket
import sys
import time

PATIENCE_SECONDS = 20


def main() -> None:
    port, index, size = (
        int(sys.argv[1]),
        int(os.environ["IRIS_TASK_INDEX"]),
        int(os.environ["IRIS_NUM_TASKS"]),
    )
    me = {name: os.environ.get(name) for name in ("IRIS_TASK_INDEX", "TPU_NAME", "TPU_WORKER_ID")}
    everyone = host(port, size, me) if index == 0 else join(port, me)
    print("met " + json.dumps(everyone), flush=True)


def host(port: int, size: int, me: dict) -> list[dict]:
    """Waits for the others, then tells all of them who came."""
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(PATIENCE_SECONDS)
        peers = [server.accept()[0] for _ in range(size - 1)]
    everyone = [me, *(json.loads(peer.makefile().readline()) for peer in peers)]
    for peer in peers:
        peer.sendall(json.dumps(everyone).encode() + b"\n")
        peer.close()
    return everyone


def join(port: int, me: dict) -> list[dict]:
    """Calls member 0, says who this is, and hears who came."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            peer = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    with peer:
        peer.sendall(json.dumps(me).encode() + b"\n")
        return json.loads(peer.makefile().readline())


main()
