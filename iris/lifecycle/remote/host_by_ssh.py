"""A controller's machine that is reached with the user's own OpenSSH."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Coroutine, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from iris.lifecycle.remote.host_messages import read_answer
from iris.model.errors import FailedPrecondition, Unavailable
from iris.platforms.manual import Shipping
from iris.ship import shipped_file
from iris.ship.inside.start import UNSUITABLE
from iris.ssh import Completed, SshClient, SshConnection, SshOptions

T = TypeVar("T")

_NOT_SHIPPED = 97
_NO_SUCH_COMMAND = 127
# $1 the file, $2 Python, $3 the word. A file has its name only once all of it is there.
_RUN = f'[ -f "$1" ] || exit {_NOT_SHIPPED}; exec "$2" -I "$1" controller "$3"'
_END_SECONDS = 30.0


class HostBySsh:
    """See RemoteHost.

    Args:
        host: As for the ssh command.
        python: There.
        work_dir: There, for Iris itself; may begin with `~/`.
        ship_dir: Where the file to ship is made here, if no build made it; default: the user's cache.
    """

    def __init__(
        self,
        host: str,
        ssh: SshOptions,
        *,
        python: str,
        work_dir: str,
        ship_dir: Path | None = None,
    ) -> None:
        self._host = host
        self._ssh = ssh
        self._python = python
        self._work_dir = work_dir
        self._ship_dir = ship_dir

    @property
    def name(self) -> str:
        """As the configuration calls it."""
        return self._host

    @contextlib.contextmanager
    def session(self) -> Iterator["SshSession"]:
        """See RemoteHost."""
        with _loop_of_its_own(f"ssh {self._host}") as loop:
            client = SshClient()
            try:
                connection = _wait(loop, client.connect(self._host, self._ssh))
                shipping = Shipping(lambda: shipped_file(self._ship_dir or _default_ship_dir()))
                yield SshSession(loop, connection, shipping, self._python, self._work_dir)
            finally:
                _wait(loop, client.close())


class SshSession:
    """See HostSession; made by HostBySsh."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: SshConnection,
        shipping: Shipping,
        python: str,
        work_dir: str,
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._shipping = shipping
        self._python = python
        self._work_dir = work_dir

    def ask(self, word: str, request: bytes, timeout: timedelta) -> Mapping[str, Any]:
        """See HostSession. Iris is shipped first, if it is not there yet."""
        return _wait(self._loop, self._ask(word, request, timeout))

    @contextlib.contextmanager
    def forward(self, address: str) -> Iterator[str]:
        """See HostSession."""
        way = self._connection.local_forward(address)
        here = _wait(self._loop, way.__aenter__())
        try:
            yield here
        finally:
            _wait(self._loop, way.__aexit__(None, None, None))

    async def _ask(self, word: str, request: bytes, timeout: timedelta) -> Mapping[str, Any]:
        shipped = await self._shipping.file()
        path = shipped.path_in(await self._folder())
        argv = ["/bin/sh", "-c", _RUN, "sh", path, self._python, word]
        done = await self._connection.run(argv, stdin=request, timeout=timeout)
        if done.status == _NOT_SHIPPED:
            await self._connection.put(shipped.path, path)
            done = await self._connection.run(argv, stdin=request, timeout=timeout)
        answer = read_answer(done.stdout)
        if answer is None:
            raise self._no_answer(done)
        return answer

    async def _folder(self) -> str:
        if not self._work_dir.startswith("~/"):
            return self._work_dir
        done = await self._connection.run('printf "%s" "$HOME"')
        home = done.require("Looking for the home folder").decode()
        return f"{home}/{self._work_dir[2:]}"

    def _no_answer(self, done: Completed) -> Exception:
        """What to raise for a program that said nothing: it could not start."""
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        said = lines[-1] if lines else "without a word"
        match done.status:
            case int() if done.status == _NO_SUCH_COMMAND:
                problem = f"There is no {self._python} on {done.host}: {said}."
                return FailedPrecondition(
                    problem, hint="Install it, or name another in bootstrap.python."
                )
            case int() if done.status == UNSUITABLE:
                return FailedPrecondition(f"Iris cannot run on {done.host}: {said}")
        return Unavailable(f"Iris ended on {done.host} with exit status {done.status}: {said}.")


def _default_ship_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "iris" / "ship"


@contextlib.contextmanager
def _loop_of_its_own(name: str) -> Iterator[asyncio.AbstractEventLoop]:
    """One that runs in a thread until the block ends: callers block, and may have a loop themselves."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_turn, args=(loop,), name=name)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    """Runs it until it is stopped."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def _wait(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Its result. If this thread is interrupted, it is cancelled."""
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
