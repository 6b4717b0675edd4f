"""How a running controller becomes the present code and configuration: the same process executes another program
(execve(2)), so that the workers that are its children run on, with their tasks.

Who asks leaves a `ReloadRequest` in the state folder and sends SIGUSR1; the controller opens the named pipe that the
request tells of, hands over what can be (`HandOver`), and executes. The new program answers on that pipe, as it would
on the one of a start.
"""

import base64
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from iris.host.files import FileLock, atomic_write
from iris.host.processes import ProcessHandle, ProcessIdentity
from iris.lifecycle.local.handshake import Launch, NoAnswer, wait_for_answer
from iris.lifecycle.state_folder import StateFolder
from iris.model.errors import FailedPrecondition
from iris.platforms.local.handed_over import HandedOverSlice

RELOAD_SIGNAL = signal.SIGUSR1
_REQUEST_NAME = "reload.json"
_ANSWER_NAME = "reload.answer"
_LOCK_NAME = "reload.lock"
_FIRST_INHERITED = 3


@dataclass(frozen=True, slots=True)
class ReloadRequest:
    """What the controller is to become.

    Attributes:
        argv: The program, by its path, and arguments to which more are added.
        environment: All of its.
        answer: The named pipe that it answers on.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    launch: Launch
    answer: Path

    def to_json(self) -> bytes:
        """For a file that nobody else may read."""
        fields = {
            "argv": list(self.argv),
            "environment": dict(self.environment),
            "launch": base64.b64encode(self.launch.to_bytes()).decode(),
            "answer": str(self.answer),
        }
        return json.dumps(fields).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "ReloadRequest":
        """The reverse. Raises ValueError, KeyError or TypeError for anything else."""
        fields = json.loads(data)
        return cls(
            [str(one) for one in fields["argv"]],
            {str(name): str(value) for name, value in fields["environment"].items()},
            Launch.from_bytes(base64.b64decode(fields["launch"])),
            Path(fields["answer"]),
        )


@dataclass(frozen=True, slots=True)
class HandOver:
    """What the new program takes over.

    Attributes:
        port: The controller's: workers and tasks know no other.
        slices: Those that run on.
        guard: A descriptor that keeps the port from being given to somebody else meanwhile; -1 without.
    """

    port: int
    slices: tuple[HandedOverSlice, ...] = field(default=())
    guard: int = -1

    def to_json(self) -> bytes:
        """For a file that is handed on by its descriptor."""
        slices = [one.to_fields() for one in self.slices]
        return json.dumps({"port": self.port, "slices": slices, "guard": self.guard}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "HandOver":
        """The reverse. Raises ValueError, KeyError or TypeError for anything else."""
        fields: dict[str, Any] = json.loads(data)
        slices = tuple(HandedOverSlice.from_fields(one) for one in fields["slices"])
        return cls(int(fields["port"]), slices, int(fields["guard"]))

    @classmethod
    def read(cls, descriptor: int) -> "HandOver":
        """What `execute` left there, which is closed."""
        with os.fdopen(descriptor, "rb") as file:
            return cls.from_json(file.read())

    def let_port_go(self) -> None:
        """Once the controller listens itself."""
        if self.guard >= 0:
            os.close(self.guard)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """That have to stay open."""
        links = [links for one in self.slices for links in one.workers]
        guard = [self.guard] if self.guard >= 0 else []
        return (*guard, *(end for one in links for end in (one.lifeline, one.answers)))


def guard_port(host: str, port: int) -> int:
    """A descriptor of a socket that is bound there and does not listen: nobody else is given the port, but who asks
    for this very one (as gRPC does, with SO_REUSEADDR) can listen there. -1 if it cannot be had.
    """
    guard = socket.socket()
    guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        guard.bind((host, port))
    except OSError:
        guard.close()
        return -1
    return guard.detach()


# --- Who asks ------------------------------------------------------------------------------------


@contextlib.contextmanager
def only_one_reload(folder: StateFolder) -> Iterator[None]:
    """Raises FailedPrecondition while another process reloads this cluster's controller."""
    lock = FileLock(folder.path / _LOCK_NAME)
    if not lock.acquire():
        raise FailedPrecondition(
            f"The controller of {folder.path} is being reloaded by another process.",
            hint="Wait for that to end.",
        )
    try:
        yield
    finally:
        lock.let_go()


def ask_to_reload(
    folder: StateFolder,
    process: ProcessIdentity,
    program: tuple[Sequence[str], Mapping[str, str]],
    launch: Launch,
    timeout: float,
) -> None:
    """Returns once the new program serves. Within `only_one_reload`.

    Raises what the new program said, NoAnswer if the process ended, TimeoutError.
    """
    argv, environment = program
    request = ReloadRequest(argv, environment, launch, folder.path / _ANSWER_NAME)
    request.answer.unlink(missing_ok=True)
    os.mkfifo(request.answer, 0o600)
    # Opened before anybody writes: so its end is only seen after somebody has.
    answer = os.open(request.answer, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        handle = ProcessHandle.open(process)
        if handle is None:
            raise NoAnswer
        with handle:
            atomic_write(folder.path / _REQUEST_NAME, request.to_json(), mode=0o600)
            handle.send(RELOAD_SIGNAL)
            wait_for_answer(answer, timeout, process=handle)
    finally:
        os.close(answer)
        request.answer.unlink(missing_ok=True)
        (folder.path / _REQUEST_NAME).unlink(missing_ok=True)


# --- The controller ------------------------------------------------------------------------------


def take_request(folder: StateFolder) -> tuple[ReloadRequest, int]:
    """The request, and a descriptor to answer on. Raises OSError, ValueError, KeyError or TypeError where there is
    none that makes sense: whoever asked has given up.
    """
    path = folder.path / _REQUEST_NAME
    request = ReloadRequest.from_json(path.read_bytes())
    path.unlink(missing_ok=True)
    return request, os.open(request.answer, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def execute(
    request: ReloadRequest,
    folder: StateFolder,
    hand_over: HandOver,
    *,
    answer: int,
    inherited: Mapping[str, int],
) -> NoReturn:
    """Becomes what was asked for. `inherited`: descriptors that the new program gets under the same flags as this one
    did. Call from the main thread, with everything else stopped. Raises OSError if there is no such program.
    """
    given = {
        **inherited,
        "answer_fd": answer,
        "hand_over_fd": _left_in_file(hand_over.to_json(), folder.temporary),
    }
    flags = [f"--{name}={descriptor}" for name, descriptor in given.items()]
    os.dup2(_left_in_file(request.launch.to_bytes(), folder.temporary), 0)
    log = os.open(folder.startup_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    _inherit_only({*given.values(), *hand_over.descriptors})
    os.execve(request.argv[0], [*request.argv, *flags], dict(request.environment))


def _left_in_file(data: bytes, folder: Path) -> int:
    """A descriptor to read it from; the file has no name any more."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(data)
        file.flush()
        file.seek(0)
        return os.dup(file.fileno())


def _inherit_only(descriptors: set[int]) -> None:
    """Also of those that a library has opened without a thought for an exec."""
    for name in os.listdir("/dev/fd"):
        descriptor = int(name)
        if descriptor >= _FIRST_INHERITED:
            # What listdir itself used is closed by now.
            with contextlib.suppress(OSError):
                os.set_inheritable(descriptor, descriptor in descriptors)
