"""Gang members add up what each of them brings, in a ring. Succeeds only if all of them run at the same time.

Usage: all_reduce.py PORT. Member 0 listens there until the others have told it where they listen; then each connects to
the next one, and parts of the sum go round twice: once to be added up, once to be handed out.
"""

import json
import os
import socket
import time
from typing import IO

PATIENCE_SECONDS = 20
WIDTH = 8


def main(port: int) -> None:
    index, size = int(os.environ["IRIS_TASK_INDEX"]), int(os.environ["IRIS_NUM_TASKS"])
    hosts = os.environ["IRIS_PEER_HOSTS"].split(",")
    with socket.create_server(("", 0)) as server:
        server.settimeout(PATIENCE_SECONDS)
        own = (hosts[index], server.getsockname()[1])
        places = gather(port, size, own) if index == 0 else join(hosts[0], port, index, own)
        following = socket.create_connection(places[(index + 1) % size], PATIENCE_SECONDS)
        preceding = server.accept()[0]
    with following, preceding:
        vector = [(index + 1) * position for position in range(1, WIDTH + 1)]
        total = all_reduce(vector, index, size, following, preceding.makefile())
    names = ("IRIS_TASK_INDEX", "TPU_NAME", "TPU_WORKER_ID")
    print(
        "reduced " + json.dumps({name: os.environ.get(name) for name in names} | {"sum": total}),
        flush=True,
    )


def gather(port: int, size: int, own: tuple) -> list:
    """Waits for the others, then tells all of them where each listens."""
    with socket.create_server(("", port)) as server:
        server.settimeout(PATIENCE_SECONDS)
        peers = [server.accept()[0] for _ in range(size - 1)]
    places = {0: own}
    for peer in peers:
        index, place = json.loads(peer.makefile().readline())
        places[index] = place
    inorder = [places[index] for index in range(size)]
    for peer in peers:
        peer.sendall(json.dumps(inorder).encode() + b"\n")
        peer.close()
    return [tuple(place) for place in inorder]


def join(host: str, port: int, index: int, own: tuple) -> list:
    """Tells member 0 where this one listens, and hears it of all."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            peer = socket.create_connection((host, port), timeout=PATIENCE_SECONDS)
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    with peer:
        peer.sendall(json.dumps([index, own]).encode() + b"\n")
        return [tuple(place) for place in json.loads(peer.makefile().readline())]


def all_reduce(
    vector: list, index: int, size: int, following: socket.socket, preceding: IO
) -> list:
    """The sum over all members, in 2 (size - 1) steps with a part of the vector each."""
    parts = [vector[part::size] for part in range(size)]
    for step in range(2 * (size - 1)):
        handing_out = step >= size - 1
        send = (index - step) % size
        following.sendall(json.dumps(parts[send]).encode() + b"\n")
        came = json.loads(preceding.readline())
        receive = (send - 1) % size
        parts[receive] = (
            came if handing_out else [a + b for a, b in zip(parts[receive], came, strict=True)]
        )
    total = [0] * len(vector)
    for part in range(size):
        total[part::size] = parts[part]
    return total


if __name__ == "__main__":
    import sys

    main(int(sys.argv[1]))
