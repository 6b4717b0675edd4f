"""One connection to a host: opened once, then shared by all that is run and forwarded there.

The connection is an ssh master that is a child of ours. Its one session runs `cat` on a pipe that only we
hold open: should this process be killed, the pipe ends, with it the session, and with that the
master. All else goes through the master's socket, and never opens a connection of its own.
"""

import asyncio
import contextlib
import hashlib
import secrets
import shlex
import signal
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from pathlib import Path

from iris.model.errors import DeadlineExceeded, InvalidArgument, IrisError, Unavailable
from iris.ssh.errors import connect_error
from iris.ssh.options import SshOptions
from iris.ssh.process import Completed, RemoteProcess, remote_command

_READY = b"iris-ssh-ready"
_SSH = "ssh"
# For a master to end once it is told to.
_END_SECONDS = 5.0
_FORWARD_SECONDS = 30.0
_KEPT_LINES = 64
_PORT_TRIES = 8
_CHUNK = 1 << 20

# $1 path, $2 sha256, $3 mode. Either digest program there is; without one nothing counts as there.
_DIGEST = """
digest() {
  if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi | cut -c1-64
}
"""
_HAS = _DIGEST + '[ -f "$1" ] && [ "$(digest "$1")" = "$2" ] && chmod "$3" "$1"'
_PUT = (
    _DIGEST
    + """
set -e
umask 077
mkdir -p "$(dirname "$1")"
temporary="$1.$$.tmp"
trap 'rm -f "$temporary"' EXIT
cat >"$temporary"
found="$(digest "$temporary")"
if [ "$found" != "$2" ]; then echo "what arrived has the digest $found" >&2; exit 1; fi
chmod "$3" "$temporary"
mv -f "$temporary" "$1"
"""
)


class SshConnection:
    """Belongs to one event loop; SshClient.connect makes it."""

    def __init__(self, host: str, options: SshOptions, control: Path) -> None:
        self.host = host
        self._options = options
        self._control = control
        self._master: asyncio.subprocess.Process | None = None
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._watch: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._closed = False
        self._on_closed: list[Callable[[], None]] = []

    async def open(self) -> None:
        """See SshClient.connect, which calls it, once."""
        seconds = self._options.connect_timeout.total_seconds()
        self._master = await asyncio.create_subprocess_exec(
            _SSH, "-M", "-S", str(self._control), *self._options.words(), "--", self.host,
            f"echo {_READY.decode()}; exec cat",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # A Ctrl-C at our terminal is for us; we then close.
            start_new_session=True,
        )  # fmt: skip
        self._watch = asyncio.create_task(self._watch_master(self._master), name=f"ssh {self.host}")
        try:
            async with asyncio.timeout(seconds):
                ready = await self._ready(self._master)
                if not ready:
                    await self._lost.wait()
        except TimeoutError as error:
            await self.close()
            said = f" It said: {self._said[-1]}." if self._said else ""
            raise DeadlineExceeded(
                f"{self.host} did not let us in within {seconds:g} s.{said}",
                hint="Is it up and not overloaded? timeouts.ssh_connect_timeout says how long to wait.",
            ) from error
        except BaseException:
            await self.close()
            raise
        if not ready:
            await self.close()
            raise connect_error(self.host, "\n".join(self._said))

    @property
    def alive(self) -> bool:
        """Whether it stands, as far as ssh has noticed."""
        return not (self._closed or self._lost.is_set())

    async def wait_lost(self) -> str:
        """Returns once it is lost or closed, with what ssh said last."""
        await self._lost.wait()
        return self._said[-1] if self._said else "the connection ended"

    def on_closed(self, call: Callable[[], None]) -> None:
        """Is called once, when `close` is done."""
        self._on_closed.append(call)

    async def run(
        self,
        command: str | Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: timedelta | None = None,
    ) -> Completed:
        """Runs a script for /bin/sh, or an argv, there, to its end.

        Raises Unavailable if the connection was lost before it ended: it may go on there.
        DeadlineExceeded after `timeout`, likewise: its stdin and stdout end then.
        """
        try:
            async with (
                asyncio.timeout(None if timeout is None else timeout.total_seconds()),
                self.process(command) as process,
            ):
                # Both ways at once: a command may write before it has read everything.
                sending = asyncio.create_task(_send(process, stdin))
                try:
                    status, stdout, stderr = await process.wait()
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
        except TimeoutError as error:
            assert timeout is not None
            raise DeadlineExceeded(
                f"{_short(command)} did not end on {self.host} within {timeout.total_seconds():g} s."
            ) from error
        if status is None:
            raise await self.broken(_short(command), stderr)
        return Completed(self.host, status, stdout, stderr)

    @contextlib.asynccontextmanager
    async def process(self, command: str | Sequence[str]) -> AsyncIterator[RemoteProcess]:
        """A command to talk to while it runs. Our side of it ends with the context."""
        self._check()
        marker = f"iris-{secrets.token_hex(8)}"
        words = self._through_master("-T", "--", self.host, remote_command(command, marker))
        process = await RemoteProcess.start(self.host, words, marker)
        try:
            yield process
        finally:
            await process.end()

    async def broken(self, doing: str, stderr: bytes) -> IrisError:
        """What to raise for a command whose end nobody knows."""
        # The master may be just about to notice what its client saw.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._lost.wait()
        lines = stderr.decode(errors="replace").strip().splitlines()
        if not self.alive:
            return Unavailable(f"The connection to {self.host} was lost during {doing}.")
        return Unavailable(
            f"{doing} did not say how it ended on {self.host}: {lines[-1] if lines else 'no word'}.",
            hint="Was it killed there, or are too many sessions open (MaxSessions of its sshd)?",
        )

    async def put(
        self, local: Path, remote: str, *, mode: int = 0o700, timeout: timedelta | None = None
    ) -> bool:
        """Puts a file there, under its name only once all of it is; whether it was sent: one that is
        there already, with the same bytes, is not. Missing folders are made, for its owner only.

        Raises OSError if it cannot be read here, FailedPrecondition if it cannot be written there,
        and what `run` raises.
        """
        digest = await asyncio.to_thread(_digest, local)
        words = (remote, digest, f"{mode:o}")
        if (await self.run(_script(_HAS, *words), timeout=timeout)).status == 0:
            return False
        data = await asyncio.to_thread(local.read_bytes)
        sent = await self.run(_script(_PUT, *words), stdin=data, timeout=timeout)
        sent.require(f"Putting {local.name} at {remote}")
        return True

    @contextlib.asynccontextmanager
    async def remote_forward(self, remote: str, local: str) -> AsyncIterator[str]:
        """Lets `remote` there lead to `local` (host:port) here; yields what to dial there.

        `remote` is the path of a socket, whose folder is made and whose file is replaced, or
        127.0.0.1:PORT, where port 0 is a free one. Raises Unavailable where that is refused. Once
        the context has ended nobody listens there any more, unless the connection was lost.
        """
        if remote.startswith("/"):
            made = 'umask 077; mkdir -p "$(dirname "$1")" && rm -f "$1"'
            (await self.run(_script(made, remote))).require(f"Making room for {remote}")
        spec = f"{remote}:{local}"
        bound = (await self._forward("forward", "-R", spec)).strip()
        if remote.endswith(":0") and bound.isdigit():
            # ssh knows it by what was asked for: the 0 is how to cancel it.
            remote = f"{remote.removesuffix(':0')}:{bound}"
        try:
            yield remote
        finally:
            await self._cancel("-R", spec)
            await self._cancelled_there(remote)

    @contextlib.asynccontextmanager
    async def local_forward(self, remote: str) -> AsyncIterator[str]:
        """Yields a 127.0.0.1:PORT here that leads to `remote` (host:port, or a socket's path) there.

        Raises Unavailable where none can be had.
        """
        problem: IrisError = Unavailable("no port is free here")
        for _ in range(_PORT_TRIES):
            # Somebody may take it before ssh does: then the next.
            address = f"127.0.0.1:{_free_port()}"
            try:
                await self._forward("forward", "-L", f"{address}:{remote}")
            except Unavailable as error:
                problem = error
                if not self.alive:
                    break
                continue
            try:
                yield address
            finally:
                await self._cancel("-L", f"{address}:{remote}")
            return
        raise problem

    async def close(self) -> None:
        """Ends it, with all that runs or is forwarded over it. Idempotent."""
        self._closed = True
        master, watch = self._master, self._watch
        if master is None or watch is None:
            return
        assert master.stdin is not None
        master.stdin.close()
        for signum in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                master.send_signal(signum)
            done, _ = await asyncio.wait({watch}, timeout=_END_SECONDS)
            if done:
                break
        self._control.unlink(missing_ok=True)
        calls, self._on_closed = self._on_closed, []
        for call in calls:
            call()

    async def _ready(self, master: asyncio.subprocess.Process) -> bool:
        """Whether it came about. Files that its login shell reads may write something before."""
        assert master.stdout is not None
        while line := await master.stdout.readline():
            if line.strip() == _READY:
                return True
        return False

    async def _watch_master(self, master: asyncio.subprocess.Process) -> None:
        """Collects what it says, to its end."""
        assert master.stderr is not None
        with contextlib.suppress(ValueError):  # a line beyond all bounds
            async for line in master.stderr:
                self._said.append(line.decode(errors="replace").strip())
        await master.wait()
        self._lost.set()

    async def _forward(self, action: str, direction: str, spec: str) -> str:
        """Has the master open or close a forward; what it answers."""
        self._check()
        words = self._through_master("-O", action, direction, spec, "--", self.host)
        process = await RemoteProcess.start(self.host, words, "none")
        try:
            async with asyncio.timeout(_FORWARD_SECONDS):
                _, stdout, stderr = await process.wait()
        except TimeoutError as error:
            raise Unavailable(f"The forward {spec} to {self.host} had no answer.") from error
        finally:
            await process.end()
        if process.code != 0:
            lines = stderr.decode(errors="replace").strip().splitlines()
            raise Unavailable(
                f"{self.host} does not forward {spec}: {lines[-1] if lines else 'no word'}.",
                hint="Its sshd may forbid it (AllowTcpForwarding, AllowStreamLocalForwarding).",
            )
        return stdout.decode(errors="replace")

    async def _cancel(self, direction: str, spec: str) -> None:
        if self.alive:
            with contextlib.suppress(Unavailable):  # it goes with the connection in any case
                await self._forward("cancel", direction, spec)

    async def _cancelled_there(self, remote: str) -> None:
        """Returns once its sshd has let go of a forward: ssh does not wait for that (RFC 4254, 7.1).

        What is sent over the same connection is done in order, so a command comes after it.
        """
        if self.alive:
            command = ["rm", "-f", remote] if remote.startswith("/") else ["true"]
            with contextlib.suppress(Unavailable, DeadlineExceeded):
                await self.run(command, timeout=timedelta(seconds=_FORWARD_SECONDS))

    def _through_master(self, *words: str) -> tuple[str, ...]:
        """An ssh that uses the master's connection and cannot make one of its own."""
        only = ("-F", "none", "-o", "ProxyCommand=false", "-o", "BatchMode=yes")
        return (_SSH, *only, "-S", str(self._control), *words)

    def _check(self) -> None:
        if not self.alive:
            raise Unavailable(f"The connection to {self.host} is closed.")


async def _send(process: RemoteProcess, data: bytes) -> None:
    view = memoryview(data)
    for start in range(0, len(data), _CHUNK):
        await process.write(bytes(view[start : start + _CHUNK]))
    await process.close_stdin()


def _script(script: str, *words: str) -> list[str]:
    if any("\0" in word or "\n" in word for word in words):
        raise InvalidArgument(
            f"A path on a remote machine may not have a line's end: {words[0]!r}."
        )
    return ["/bin/sh", "-c", script, "sh", *words]


def _short(command: str | Sequence[str]) -> str:
    """For a message."""
    text = command if isinstance(command, str) else shlex.join(command)
    line = text.strip().splitlines()[0] if text.strip() else "an empty command"
    return f"`{line[:60]}`"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
