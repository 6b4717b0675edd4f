"""Builds Python environments with uv and keeps them, each once for all who ask for the same."""

import functools
import hashlib
import os
import stat
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from iris.host.clock import Clock
from iris.model.environment import EnvironmentSpec
from iris.model.errors import FailedPrecondition
from iris.model.resources import Resources
from iris.worker.blocking import run_in_thread
from iris.worker.build_step import LineSink, run_step
from iris.worker.protocols import ContainerRuntime, PythonEnvironmentLease, RunRequest
from iris.worker.python_environment import uv_program
from iris.worker.python_environment.inputs import EnvironmentInputs, read_inputs
from iris.worker.tree_cache import Say, TreeCache

DEFAULT_BUILD_TIMEOUT = timedelta(minutes=30)
# Written last: holds the key of what was built.
MARKER = ".iris-environment"

_SCRATCH_SUFFIX = ".scratch"
_STOP_GRACE = timedelta(seconds=2)
# Of one command of uv; what goes beyond is counted.
_MAX_LINES = 10_000
# Keys of what bundles hold, so that wheels are not read again for every attempt.
_INPUTS_KEPT = 1000


class UvEnvironmentProvider:
    """A PythonEnvironmentProvider. One per process, one process per folder; belongs to one event
    loop. See TreeCache for how environments are kept.

    A build runs as a process tree of the runtime, with bounded time. It is given up when nobody
    waits for it any more. What was built may be read by every task, and written by none that does
    not insist.

    Args:
        max_bytes: Of all environments.
        variables: The worker's own environment variables; uv gets what it needs of them to reach
            its indexes.
        build_timeout: For each command of a build.
    """

    def __init__(
        self,
        folder: Path,
        runtime: ContainerRuntime,
        *,
        max_bytes: int,
        clock: Clock,
        variables: Mapping[str, str],
        build_timeout: timedelta = DEFAULT_BUILD_TIMEOUT,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._variables = variables
        self._build_timeout = build_timeout
        self._inputs: OrderedDict[tuple[str, EnvironmentSpec], str] = OrderedDict()
        self._cache = TreeCache(
            folder,
            what="Python environment",
            max_bytes=max_bytes,
            clock=clock,
            outlives_callers=False,
            look=_look,
        )

    async def start(self) -> None:
        """Takes the folder and finds what is in it. Idempotent.

        Raises FailedPrecondition if it cannot be used or another process has it.
        """
        await self._cache.start()

    async def close(self) -> None:
        """Ends builds under way; what is cached stays. Idempotent."""
        await self._cache.close()

    async def prepare(
        self, spec: EnvironmentSpec, bundle: Path | None, bundle_digest: str, say: Say
    ) -> PythonEnvironmentLease:
        """See PythonEnvironmentProvider."""
        key = await self._key(spec, bundle, bundle_digest)
        make = functools.partial(self._build, spec, bundle)
        lease = await self._cache.get(key, make, say)
        return PythonEnvironmentLease(lease.path, lease.release)

    async def _key(self, spec: EnvironmentSpec, bundle: Path | None, bundle_digest: str) -> str:
        known = (bundle_digest, spec)
        key = self._inputs.get(known)
        if key is None:
            key = (await run_in_thread(read_inputs, spec, bundle)).key
            self._inputs[known] = key
            while len(self._inputs) > _INPUTS_KEPT:
                self._inputs.popitem(last=False)
        self._inputs.move_to_end(known)
        return key

    async def _build(
        self, spec: EnvironmentSpec, bundle: Path | None, target: Path, say: Say
    ) -> None:
        inputs = await run_in_thread(read_inputs, spec, bundle)
        began = self._clock.monotonic()
        say(f"Building the Python environment {inputs.key}.")
        scratch = target.with_name(target.name + _SCRATCH_SUFFIX)
        await run_in_thread(_lay_out, scratch, inputs, spec)
        run = functools.partial(self._run, scratch, say)
        await run(uv_program.make_environment(target, spec.python or sys.executable))
        requirements = scratch / "requirements.txt"
        if spec.is_uv_lock:
            await run(uv_program.export_lock(scratch, target, requirements))
        if spec.lock_file:
            await run(uv_program.install(target, requirements, inputs.wheelhouse))
        await run_in_thread(_seal, target, inputs.key)
        seconds = self._clock.monotonic() - began
        say(f"Python environment {inputs.key}: built in {seconds:.1f} s.")

    async def _run(self, scratch: Path, say: Say, argv: tuple[str, ...]) -> None:
        lines = _BoundedLines(say)
        request = RunRequest(
            name=f"uv {argv[1]}",
            argv=argv,
            env=uv_program.uv_variables(self._variables, scratch / "tmp"),
            cwd=scratch,
            resources=Resources(),
            stop_grace=_STOP_GRACE,
        )
        end = await run_step(
            self._runtime,
            request,
            LineSink(lines.show),
            time_limit=self._build_timeout,
            clock=self._clock,
        )
        lines.end()
        if end.problem:
            raise FailedPrecondition(
                "The Python environment could not be built (the attempt's BUILD log has it all): "
                f"{request.name} {end.describe()}"
            )


class _BoundedLines:
    """Lines for all who wait; nobody's buffer holds them up, so they are bounded here."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lines = 0

    def show(self, lines: list[bytes]) -> None:
        """As many as are still allowed."""
        for line in lines[: max(0, _MAX_LINES - self._lines)]:
            self._say(line.decode(errors="backslashreplace"))
        self._lines += len(lines)

    def end(self) -> None:
        """Says what was left out."""
        if self._lines > _MAX_LINES:
            self._say(f"{self._lines - _MAX_LINES:,} more lines are left out.")


def _lay_out(scratch: Path, inputs: EnvironmentInputs, spec: EnvironmentSpec) -> None:
    """A folder with the lock file and nothing beside it: what it names by a relative path is not in
    the key, and shall not be found.
    """
    (scratch / "tmp").mkdir(parents=True)
    if inputs.lock is not None:
        name = "uv.lock" if spec.is_uv_lock else "requirements.txt"
        (scratch / name).write_bytes(inputs.lock)
    if inputs.project is not None:
        (scratch / "pyproject.toml").write_bytes(inputs.project)


def _seal(target: Path, key: str) -> None:
    """Marks it as complete, and takes away every permission to write."""
    (target / MARKER).write_text(key)
    for path in _below(target):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    target.chmod(0o555)


def _below(folder: Path) -> Iterator[Path]:
    """All files and folders in it, no links. A folder comes after what is in it."""
    for parent, folders, files in os.walk(folder, topdown=False):
        paths = (Path(parent, name) for name in [*files, *folders])
        yield from (path for path in paths if not path.is_symlink())


def _look(target: Path) -> str:
    """What is as good as certain to differ when somebody has installed something into it, or its
    interpreter is gone: some ten calls, however large it is. Blocks.
    """
    digest = hashlib.sha256((target / MARKER).read_bytes())
    os.stat(target / "bin" / "python")  # through the link, to the interpreter
    packages = [*target.glob("lib*/python*/site-packages")]
    for folder in sorted([target, target / "bin", *packages]):
        names = sorted(set(os.listdir(folder)) - {"__pycache__"})
        digest.update("\0".join(["", *names, ""]).encode(errors="surrogateescape"))
    return digest.hexdigest()
