"""Fakes of what a worker needs: each waits where a test wants it to, and counts what is given back."""

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from iris.model.environment import EnvironmentSpec
from iris.model.errors import IrisError
from iris.worker.protocols import (
    BundleLease,
    ExitReport,
    Image,
    PythonEnvironmentLease,
    RunRequest,
    TreeUsage,
)


class Gate:
    """A place in an asynchronous call where a test can hold it up, and see that it is there."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._reached = asyncio.Event()
        self.error: Exception | None = None

    def shut(self) -> None:
        """From now on callers wait."""
        self._open.clear()

    def open(self) -> None:
        """Lets them go on."""
        self._open.set()

    async def reached(self) -> None:
        """Returns once a caller is here."""
        await self._reached.wait()

    async def passing(self) -> None:
        """For the fake: waits while it is shut, then raises `error` if there is one."""
        self._reached.set()
        await self._open.wait()
        if self.error is not None:
            raise self.error


class FakeBundles:
    """A BundleProvider with one bundle, whatever digest is asked for.

    Attributes:
        leased: How many leases are out.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.gate = Gate()
        self.leased = 0

    async def fetch(self, digest: str, say: Callable[[str], None]) -> BundleLease:
        """See BundleProvider."""
        say(f"fetching {digest}")
        await self.gate.passing()
        self.leased += 1
        given_back = False

        def release() -> None:
            nonlocal given_back
            assert not given_back, f"{digest} given back twice"
            given_back = True
            self.leased -= 1

        return BundleLease(self._folder, release)


class FakePythonEnvironments:
    """A PythonEnvironmentProvider with one environment, whatever is asked for.

    Attributes:
        leased: How many leases are out.
        asked: What was asked for, and with which bundle.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.gate = Gate()
        self.leased = 0
        self.asked: list[tuple[EnvironmentSpec, Path | None]] = []

    async def prepare(
        self,
        spec: EnvironmentSpec,
        bundle: Path | None,
        bundle_digest: str,
        say: Callable[[str], None],
    ) -> PythonEnvironmentLease:
        """See PythonEnvironmentProvider."""
        self.asked.append((spec, bundle))
        say("building an environment")
        await self.gate.passing()
        self.leased += 1
        given_back = False

        def release() -> None:
            nonlocal given_back
            assert not given_back, "an environment was given back twice"
            given_back = True
            self.leased -= 1

        return PythonEnvironmentLease(self._folder, release)


class FakeImages:
    """An ImageProvider that has every image."""

    def __init__(self) -> None:
        self.gate = Gate()

    async def prepare(self, image: Image, say: Callable[[str], None]) -> Image:
        """See ImageProvider."""
        await self.gate.passing()
        return image


class FakeRunHandle:
    """A RunHandle whose tree is played by the test."""

    def __init__(self, request: RunRequest) -> None:
        self.request = request
        self.stops: list[tuple[str, timedelta | None]] = []
        self.sample = TreeUsage(0.0, 0, 0, 1)
        self._writers = ExitStack()
        self._stdout, self._write_stdout = self._pipe()
        self._stderr, self._write_stderr = self._pipe()
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[int] = loop.create_future()
        self._ended: asyncio.Future[ExitReport] = loop.create_future()

    def _pipe(self) -> tuple[BinaryIO, BinaryIO]:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        writer = self._writers.enter_context(os.fdopen(write_end, "wb", buffering=0))
        return os.fdopen(read_end, "rb", buffering=0), writer

    @property
    def stdout(self) -> BinaryIO:
        """See RunHandle."""
        return self._stdout

    @property
    def stderr(self) -> BinaryIO:
        """See RunHandle."""
        return self._stderr

    async def started(self) -> int:
        """See RunHandle."""
        return await asyncio.shield(self._started)

    async def wait(self) -> ExitReport:
        """See RunHandle."""
        return await asyncio.shield(self._ended)

    def stop(self, reason: str, grace: timedelta | None = None) -> None:
        """See RunHandle. The tree ends at once."""
        self.stops.append((reason, grace))
        if not self._ended.done():
            self.end(ExitReport(None, 15, reason, stopped=True))

    def usage(self) -> TreeUsage | None:
        """See RunHandle."""
        return None if self._ended.done() else self.sample

    def begin(self) -> None:
        """The program runs."""
        self._started.set_result(1)

    def fail(self, error: IrisError) -> None:
        """The program could not be executed."""
        self._started.set_exception(error)
        self.end(ExitReport(None, None, str(error), started=False))

    def write(self, data: bytes) -> None:
        """On its stdout; at most what a pipe holds, 64 KiB."""
        self._write_stdout.write(data)

    def end(self, report: ExitReport) -> None:
        """No process of it is left."""
        if not self._started.done():
            self._started.set_result(1)
        self._writers.close()
        self._ended.set_result(report)


class FakeRuntime:
    """A ContainerRuntime whose trees are played by the test. `gate` is in `run`, `probed` in
    `probe`.
    """

    def __init__(self) -> None:
        self.gate = Gate()
        self.probed = Gate()
        self.handles: list[FakeRunHandle] = []

    @property
    def isolation(self) -> str:
        """See ContainerRuntime."""
        return "none (a fake)"

    async def start(self) -> None:
        """See ContainerRuntime."""

    async def run(self, request: RunRequest) -> FakeRunHandle:
        """See ContainerRuntime."""
        await self.gate.passing()
        handle = FakeRunHandle(request)
        self.handles.append(handle)
        return handle

    async def probe(self) -> None:
        """See ContainerRuntime."""
        await self.probed.passing()

    async def close(self) -> None:
        """See ContainerRuntime."""
        for handle in self.handles:
            handle.stop("closed", timedelta(0))
