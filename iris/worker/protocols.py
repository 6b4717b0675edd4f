"""What a worker needs from the world, as narrow protocols. `iris/testing` has a fake of each.

An attempt's way: bundle -> image -> environment -> runtime -> watch -> clean up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

from iris.model.environment import EnvironmentSpec
from iris.model.resources import Resources


@dataclass(frozen=True, slots=True)
class BundleLease:
    """An unpacked bundle that stays whole until `release` is called."""

    path: Path
    release: Callable[[], None]


class BundleProvider(Protocol):
    """Gets bundles by digest. Any number of callers at once; one download per digest."""

    async def fetch(self, digest: str, say: Callable[[str], None]) -> BundleLease:
        """The unpacked, verified bundle. `say` takes progress lines for the attempt's BUILD log.

        Raises NotFound (nobody has it), DataLoss (it does not match its digest), Unavailable.
        """


@dataclass(frozen=True, slots=True)
class PythonEnvironmentLease:
    """A Python environment (its `bin` has the programs) that stays until `release` is called."""

    path: Path
    release: Callable[[], None]


class PythonEnvironmentProvider(Protocol):
    """Builds jobs' Python environments. Any number of callers at once; one build for all who ask
    for the same.
    """

    async def prepare(
        self,
        spec: EnvironmentSpec,
        bundle: Path | None,
        bundle_digest: str,
        say: Callable[[str], None],
    ) -> PythonEnvironmentLease:
        """The environment of a specification that has one, ready. `say` takes the build's output,
        for the attempt's BUILD log.

        Raises FailedPrecondition (it cannot be built; the last lines of the build say why),
        ResourceExhausted (the disk is full), Unavailable.

        Args:
            bundle: The unpacked bundle, which stays while this runs; None without one.
            bundle_digest: What is known of one bundle need not be found out again.
        """


@dataclass(frozen=True, slots=True)
class Image:
    """What a runtime starts from. `name` is empty for the machine itself."""

    name: str = ""


class ImageProvider(Protocol):
    """Makes sure that what the runtime starts from is on this machine."""

    async def prepare(self, image: Image, say: Callable[[str], None]) -> Image:
        """The image, present. Raises NotFound, Unavailable."""


@dataclass(frozen=True, slots=True)
class WorkerEnvironment:
    """What this machine has and is."""

    total: Resources
    attributes: Mapping[str, str]
    host: str


class EnvironmentProvider(Protocol):
    """Finds out what this machine has to offer."""

    async def probe(self) -> WorkerEnvironment:
        """Resources and attributes. Raises FailedPrecondition where the machine cannot be a worker."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process tree may use, all of its processes together; 0 or None: as much as there is.

    Attributes:
        processes: And threads.
        open_files: Of each single process; never above what the worker itself may have.
        disk_bytes: Of what lies below `disk_path`, and of each single file that it writes anywhere.
        disk_path: The attempt's folder, which is measured whether or not it is limited; None: not.
        wall: How long it may run before it is asked to end, as by `stop`.
    """

    memory_bytes: int = 0
    cpu_millis: int = 0
    processes: int = 0
    open_files: int = 0
    disk_bytes: int = 0
    disk_path: Path | None = None
    wall: timedelta | None = None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One process tree to be run.

    Attributes:
        argv: `argv[0]` without a slash is looked up on the PATH in `env`.
        env: The whole environment; nothing is inherited.
        cwd: An existing folder that is this attempt's alone.
        stop_grace: Between SIGTERM and SIGKILL on `stop`.
        say: Takes what the runtime has to say while it runs, for the attempt's SYSTEM log.
        owner: Trees of one owner may follow each other in what the runtime has made for the first:
            its processes, namespaces and control groups. Empty: everything is made anew.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    resources: Resources
    stop_grace: timedelta
    image: Image = Image()
    limits: Limits = Limits()
    say: Callable[[str], None] = field(default=lambda text: None, compare=False)
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ExitReport:
    """How the tree's first process ended; by the time it is given, no process of the tree is left.

    Attributes:
        error: Why it never ran or was ended by the runtime; empty when it ended by itself.
        exceeded: The limit that it went beyond and was ended for, or failed of ("memory", "disk",
            "wall", "processes"); `error` then says it in words. Empty for none.
        started: Whether the program was executed at all.
        stopped: Whether `stop` was called before the first process ended; `error` then is the
            reason.
    """

    exit_code: int | None
    signal: int | None
    error: str = ""
    started: bool = True
    stopped: bool = False
    exceeded: str = ""
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """What a process tree uses now. `disk_bytes` is what its folder takes, looked at every few
    seconds.
    """

    cpu_seconds: float
    memory_bytes: int
    peak_memory_bytes: int
    processes: int
    disk_bytes: int = 0


class RunHandle(Protocol):
    """One process tree under way."""

    @property
    def stdout(self) -> BinaryIO:
        """The read end of the pipe, non-blocking. The owner of the handle reads it to its end and
        closes it.
        """

    @property
    def stderr(self) -> BinaryIO:
        """Likewise."""

    async def started(self) -> int:
        """The first process's pid once the program runs.

        Raises InvalidArgument if it could not be executed, Unavailable if the machine was not able
        to, or it was stopped before.
        """

    async def wait(self) -> ExitReport:
        """Its end. May be awaited by several."""

    def stop(self, reason: str, grace: timedelta | None = None) -> None:
        """Begins SIGTERM, grace (None: the request's), SIGKILL for the whole tree; `wait` tells the
        end.

        Called again it can only shorten the grace; the first reason stays. Without grace there is
        no SIGTERM.
        """

    def usage(self) -> TreeUsage | None:
        """A sample; None once it has ended."""


class ContainerRuntime(Protocol):
    """Runs process trees, contained as well as this machine allows."""

    @property
    def isolation(self) -> str:
        """How, in one line, e.g. `process tree (subreaper, stop and kill)`; known once it is
        started.
        """

    async def start(self) -> None:
        """Finds out what this machine allows and gets ready to run. Idempotent.

        Raises Unavailable when it cannot run anything.
        """

    async def run(self, request: RunRequest) -> RunHandle:
        """Begins a tree; starts the runtime if need be. Cancelled, it leaves nothing.

        Raises Unavailable when the machine can start no more processes, FailedPrecondition once the
        runtime is closed.
        """

    async def probe(self) -> None:
        """Returns if a tree could be begun now; cheap. Raises Unavailable if not, FailedPrecondition
        once the runtime is closed.
        """

    async def close(self) -> None:
        """Kills every tree that is left, and waits until none is. Idempotent."""
