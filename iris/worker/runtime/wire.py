"""What worker, spawner and supervisor say to each other.

On the spawner's socket the worker sends, for every supervisor that it wants, one byte with that
supervisor's end of a new control socket. Once, at its start, the spawner sends one line: `ready`.
Another byte with the end of one more socket asks whether it serves: it answers there with the same
byte.

On a control socket the worker sends a request, with the write ends of the pipes for stdout and
stderr, then lines (`stop`); the supervisor answers with lines (`started`, `stuck`, `disk`) and one
last one: `failed` if nothing was executed, else `exited`; or, from the spawner in its place, `lost`.
A supervisor that was asked to stay then says `ready`, and takes another request.
"""

import array
import socket
from typing import NamedTuple

from iris.worker.runtime.limits import TreeLimits, decode_limits

SPAWN, PING = b"s", b"p"
# With a request: the write ends for stdout and stderr.
FDS_PER_REQUEST = 2
# Longest line either side sends; longer means that the other side is not ours.
MAX_LINE = 4096
_LENGTH_BYTES = 4

READY = b"ready"
STOP = b"stop"
STARTED = b"started"
FAILED = b"failed"
STUCK = b"stuck"
DISK = b"disk"
EXITED = b"exited"
LOST = b"lost"

# Why a tree ended, in `exited`.
BY_ITSELF = b"itself"
BY_STOP = b"stop"
BY_SPAWNER_LOSS = b"spawner"
BY_LIMIT = b"limit"
# In place of the limit that it went beyond, in `exited`; of the group that counts its memory, in
# `started`.
NONE = b"-"

# What could not be done, in `failed`.
STAGE_FORK = b"fork"
STAGE_CHDIR = b"chdir"
STAGE_EXEC = b"exec"
STAGE_ISOLATE = b"isolate"

# The first word of a tree's first process in a PID namespace to its supervisor, with its pid outside.
FORKED = b"forked"


class Request(NamedTuple):
    """What to run, and within what. `stay`: the supervisor is then ready for another, whose limits
    differ in `disk_path` and times only.
    """

    argv: list[bytes]
    env: dict[bytes, bytes]
    cwd: bytes
    limits: TreeLimits
    stay: bool = False


def encode_request(
    argv: list[bytes],
    env: list[bytes],
    cwd: bytes,
    limits: TreeLimits | None = None,
    *,
    stay: bool = False,
) -> bytes:
    """What to run, as it travels: `env` is of `NAME=value`. None of it may have a NUL byte, which
    no program could be given.
    """
    bounds = (limits or TreeLimits()).encode()
    flag = b"1" if stay else b"0"
    payload = b"\0".join([cwd, flag, bounds, str(len(argv)).encode(), *argv, *env])
    return len(payload).to_bytes(_LENGTH_BYTES, "big") + payload


def decode_request(data: bytes) -> Request | None:
    """Once all of the request is in `data`, else None."""
    if len(data) < _LENGTH_BYTES or len(data) < request_size(data):
        return None
    cwd, flag, bounds, count, *rest = data[_LENGTH_BYTES : request_size(data)].split(b"\0")
    argv, env = rest[: int(count)], rest[int(count) :]
    environment = dict(pair.split(b"=", 1) for pair in env)
    return Request(argv, environment, cwd, decode_limits(bounds), flag == b"1")


def request_size(data: bytes) -> int:
    """How many bytes the request that `data` begins with has in all; `data` has at least the length
    prefix.
    """
    return _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")


def line(*words: bytes | int) -> bytes:
    """One line. Numbers in decimal."""
    return b" ".join(word if isinstance(word, bytes) else b"%d" % word for word in words) + b"\n"


def receive(sock: socket.socket, size: int, most_fds: int) -> tuple[bytes, list[int]]:
    """At most so many bytes, and descriptors, which no program inherits. Blocks. Raises OSError.

    (Python 3.11's socket.recv_fds takes flags, but takes no notice of them.)
    """
    fds = array.array("i")
    room = socket.CMSG_LEN(most_fds * fds.itemsize)
    data, ancillary, _, _ = sock.recvmsg(size, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)
