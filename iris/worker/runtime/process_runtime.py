"""The ContainerRuntime for plain processes. See the package's docstring for how it is built."""

import asyncio
import logging
import os
import socket
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from iris.host.files import FileLock
from iris.model.errors import FailedPrecondition, IrisError, Unavailable
from iris.worker.protocols import RunHandle, RunRequest
from iris.worker.runtime import wire
from iris.worker.runtime.containment import ALL_TIERS
from iris.worker.runtime.exceeded import tree_limits
from iris.worker.runtime.limits import TreeLimits
from iris.worker.runtime.process_handle import ProcessRunHandle
from iris.worker.runtime.spawner_client import SpawnerClient, SpawnerGone
from iris.worker.runtime.supervisor_pool import SupervisorPool

_log = logging.getLogger(__name__)

# Requests that no supervisor has answered yet. Each has three descriptors on their way through
# sockets, and the kernel lets an ordinary user have no more of those than open files.
_MAX_UNANSWERED = 64
# A spawner that dies at every request is not tried for ever.
_SPAWN_TRIES = 3
_CLOSED = "the worker's runtime is closed"
# Whether the trees of a worker that was killed are gone: for half a minute.
_PREDECESSOR_LOOKS = 3_000
_PREDECESSOR_LOOK_SECONDS = 0.01


class _KeptOneGone(Exception):
    """A supervisor that waited has ended, and its pool has not heard of it yet."""


class ProcessRuntime:
    """See ContainerRuntime. One per process of ours, shared by all workers in it; belongs to one
    event loop.

    Args:
        claim: A file that is locked as long as this runtime, or a process that it has started,
            lives: the record by which whoever starts a runtime in its place, after it was killed,
            knows that nothing of it is left. None where nobody ever does.
        tiers: The means of containment that may be used where the machine has them; see
            iris.worker.runtime.containment.
        keep: How many supervisors may wait for another tree of the same owner and limits: such a
            tree starts several times faster. One that was never used is among them.
    """

    def __init__(
        self, claim: Path | None = None, *, tiers: frozenset[str] = ALL_TIERS, keep: int = 0
    ) -> None:
        self._tiers = tiers
        self._keep = keep
        self._pool: SupervisorPool | None = None
        self._claim = FileLock(claim) if claim is not None else None
        self._spawner: SpawnerClient | None = None
        self._launching = asyncio.Lock()
        self._launches: set[asyncio.Task[SpawnerClient]] = set()
        self._adding_spare: asyncio.Task[None] | None = None
        self._unanswered = asyncio.Semaphore(_MAX_UNANSWERED)
        self._handles: set[ProcessRunHandle] = set()
        self._isolation = "not known before the runtime is started"
        self._closed = False

    @property
    def isolation(self) -> str:
        """See ContainerRuntime."""
        return self._isolation

    @property
    def spawner_pid(self) -> int:
        """Of the process that forks supervisors; 0 while there is none."""
        return self._spawner.pid if self._spawner is not None else 0

    async def start(self) -> None:
        """See ContainerRuntime. Waits until nothing is left of the runtime that was here before."""
        if self._claim is not None:
            await self._take(self._claim)
        await self._ready_spawner()
        if self._keep:
            self._pool = self._pool or SupervisorPool(self._keep)
            self._want_spare(self._pool)

    async def run(self, request: RunRequest) -> RunHandle:
        """See ContainerRuntime. Cancelled, it leaves nothing running."""
        await self._unanswered.acquire()
        try:
            return await self._spawn(request)
        except BaseException:
            self._unanswered.release()
            raise

    async def probe(self) -> None:
        """See ContainerRuntime. A spawner that died is replaced."""
        for _ in range(_SPAWN_TRIES):
            try:
                await (await self._ready_spawner()).ping()
            except SpawnerGone:
                continue
            except OSError as error:
                raise Unavailable(
                    f"The process that starts tasks cannot be asked: {error}."
                ) from error
            return
        raise Unavailable("The process that starts tasks keeps dying.")

    async def close(self) -> None:
        """See ContainerRuntime."""
        self._closed = True
        while self._handles:
            for handle in tuple(self._handles):
                handle.stop(_CLOSED, timedelta(0))
            await asyncio.wait([asyncio.ensure_future(handle.wait()) for handle in self._handles])
        if self._adding_spare is not None:
            await asyncio.wait([self._adding_spare])
        if self._pool is not None:
            self._pool.close()
        async with self._launching:
            if self._spawner is not None:
                await self._spawner.close()
                self._spawner = None
        await asyncio.gather(*self._launches, return_exceptions=True)
        if self._claim is not None:
            self._claim.let_go()

    async def _take(self, claim: FileLock) -> None:
        # What is left ends by itself, within milliseconds; there is nothing to be woken by.
        for _ in range(_PREDECESSOR_LOOKS):
            if claim.acquire():
                return
            await asyncio.sleep(_PREDECESSOR_LOOK_SECONDS)
        raise Unavailable(
            f"Processes of the worker that was here before do not end: they hold {claim.path}.",
            hint="If no other worker runs here, look for processes called iris-supervisor.",
        )

    async def _ready_spawner(self) -> SpawnerClient:
        """The one there is, or a new one in place of one that died."""
        if self._spawner is not None and self._spawner.alive and not self._closed:
            return self._spawner
        launch = asyncio.ensure_future(self._launch())
        self._launches.add(launch)
        launch.add_done_callback(self._launches.discard)
        return await asyncio.shield(launch)

    async def _launch(self) -> SpawnerClient:
        async with self._launching:
            if self._closed:
                raise FailedPrecondition(
                    "The runtime is closed.", hint="Nothing can be run any more."
                )
            if self._spawner is not None and self._spawner.alive:
                return self._spawner
            if self._spawner is not None:
                await self._spawner.close()
                self._spawner = None
            held = self._claim.descriptor if self._claim is not None else None
            self._spawner = await SpawnerClient.launch(held, self._tiers)
            self._isolation = self._spawner.isolation
            return self._spawner

    async def _spawn(self, request: RunRequest) -> ProcessRunHandle:
        tries = 0
        while tries < _SPAWN_TRIES:
            spawner = await self._ready_spawner()
            try:
                return await self._begin(spawner, request)
            except _KeptOneGone:
                continue  # with another; there are only so many
            except SpawnerGone:
                tries += 1
            except OSError as error:
                raise Unavailable(
                    f"No pipes could be made for {request.name}: {error.strerror}.",
                    hint="Raise the worker's limit of open files (ulimit -n); it needs three for every task.",
                ) from error
        raise Unavailable(
            f"{request.name} could not be started: the process that starts tasks keeps dying."
        )

    async def _begin(self, spawner: SpawnerClient, request: RunRequest) -> ProcessRunHandle:
        limits = tree_limits(request)
        pool = self._pool if request.owner else None
        key = (request.owner, limits._replace(disk_path=b"", wall_ms=0, grace_ms=0))
        with ExitStack() as theirs, ExitStack() as ours:
            stdout, remote_stdout = _pipe(ours, theirs)
            stderr, remote_stderr = _pipe(ours, theirs)
            control = pool.take(key) if pool is not None else None
            gone = SpawnerGone if control is None else _KeptOneGone
            if control is None:
                control = await _new_supervisor(spawner)
            ours.enter_context(control)
            message = _encode(request, limits, stay=pool is not None)
            try:
                sent = socket.send_fds(control, [message], [remote_stdout, remote_stderr])
                theirs.close()
                if sent < len(message):
                    await asyncio.get_running_loop().sock_sendall(control, message[sent:])
            except ConnectionError as error:
                raise gone from error
            ours.pop_all()

        def on_end(handle: ProcessRunHandle) -> None:
            self._handles.discard(handle)
            if pool is None or self._closed:
                handle.control.close()
            else:
                pool.put(handle.control, key, is_ready=handle.is_ready)

        handle = ProcessRunHandle(
            request,
            control,
            (os.fdopen(stdout, "rb", buffering=0), os.fdopen(stderr, "rb", buffering=0)),
            on_answer=self._unanswered.release,
            on_end=on_end,
        )
        self._handles.add(handle)
        if self._closed:
            handle.stop(_CLOSED, timedelta(0))
        elif pool is not None:
            self._want_spare(pool)
        return handle

    def _want_spare(self, pool: SupervisorPool) -> None:
        """So that also whoever has nothing to follow need not wait for a new process."""
        busy = self._adding_spare is not None and not self._adding_spare.done()
        if not busy and not pool.has_spare:
            self._adding_spare = asyncio.create_task(self._add_spare(pool), name="spare supervisor")

    async def _add_spare(self, pool: SupervisorPool) -> None:
        try:
            control = await _new_supervisor(await self._ready_spawner())
        except (SpawnerGone, IrisError, OSError) as error:
            _log.info("no spare supervisor for now: %s", error or "the spawner died")
            return
        if self._closed:
            control.close()
        else:
            pool.put(control, None, is_ready=True)


async def _new_supervisor(spawner: SpawnerClient) -> socket.socket:
    """Our end of its control socket, non-blocking. Raises SpawnerGone, OSError."""
    ours, theirs = socket.socketpair()
    with ExitStack() as stack:
        stack.enter_context(ours)
        ours.setblocking(False)
        with theirs:
            await spawner.spawn(theirs.fileno())
        stack.pop_all()
    return ours


def _pipe(ours: ExitStack, theirs: ExitStack) -> tuple[int, int]:
    """Our reading end, non-blocking, and their writing end, each closed by its stack."""
    read_end, write_end = os.pipe()
    ours.callback(os.close, read_end)
    theirs.callback(os.close, write_end)
    os.set_blocking(read_end, False)
    return read_end, write_end


def _encode(request: RunRequest, limits: TreeLimits, *, stay: bool) -> bytes:
    return wire.encode_request(
        [os.fsencode(argument) for argument in request.argv],
        [os.fsencode(f"{name}={value}") for name, value in request.env.items()],
        os.fsencode(request.cwd),
        limits,
        stay=stay,
    )
