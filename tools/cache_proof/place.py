"""A place to build in: a clone of the repository with a home folder and an output base of its own."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from iris.model.errors import FailedPrecondition, Internal
from tools.cache_proof.execution_log import Spawn, read_execution_log

# What of the caller's environment a build has: how to find programs, how to reach an index.
_TAKEN_OVER = ("PATH", "LANG", "LC_ALL", "USER", "LOGNAME", "SSL_CERT_FILE", "SSL_CERT_DIR")
_TAKEN_OVER_STARTS = ("PIP_", "IRIS_", "BAZEL")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
_LAST_LINES = 30


class BuildFailed(FailedPrecondition):
    """Bazel says no: a test fails, say. There is nothing to prove about a cache then."""


@dataclass(frozen=True, slots=True)
class Build:
    """What one call of `bazel test` did; `seconds` of wall time."""

    spawns: tuple[Spawn, ...]
    seconds: float


class Place(Protocol):
    """What the proof needs of a place; its methods return when Bazel has ended."""

    def test(self, name: str, scope: Sequence[str], flags: Sequence[str]) -> Build:
        """Builds and tests. `name` is the step's, for logs. Raises BuildFailed."""
        ...

    def clean(self) -> None:
        """Forgets all outputs and what Bazel knows of them; fetched repositories stay."""
        ...

    def depends_on(self, scope: Sequence[str], sources: Sequence[str]) -> frozenset[str]:
        """Labels of the targets of the scope, and of what it is made of, that are made of `sources`."""
        ...

    def append(self, path: str, text: str) -> None:
        """Changes a file of the clone."""
        ...

    def restore(self) -> None:
        """Undoes all changes."""
        ...

    def shut_down(self) -> None:
        """Ends the Bazel server."""
        ...


def build_environment(
    caller: Mapping[str, str], home: Path, caller_home: Path, python: str
) -> dict[str, str]:
    """The environment of a place's Bazel.

    Nothing of the caller's but what it takes to fetch: not its HOME. What is shared are caches of
    downloads (Bazel itself, pip's), so that nothing is fetched twice; no result of a build is in them.
    """
    taken = {
        name: value
        for name, value in caller.items()
        if name in _TAKEN_OVER or name.startswith(_TAKEN_OVER_STARTS) or name.lower() in _PROXIES
    }
    return {
        **taken,
        "HOME": str(home),
        "XDG_CACHE_HOME": caller.get("XDG_CACHE_HOME") or str(caller_home / ".cache"),
        "XDG_CONFIG_HOME": caller.get("XDG_CONFIG_HOME") or str(caller_home / ".config"),
        "IRIS_PYTHON": python,
    }


class Clone:
    """A Place on this machine. Used by one thread.

    Args:
        repository: What is cloned, at its HEAD.
        folder: Made; everything of the place lies in it, logs included.
        repositories: Bazel's cache of downloaded repositories; may be shared.
    """

    def __init__(self, repository: Path, folder: Path, repositories: Path) -> None:
        self._workspace = folder / "iris"
        self._logs = folder / "logs"
        home = folder / "home"
        for one in (home, self._logs):
            one.mkdir(parents=True)
        python = os.path.realpath(sys.executable)
        self._environment = build_environment(os.environ, home, Path.home(), python)
        self._startup = (f"--output_user_root={folder / 'output'}", "--max_idle_secs=600")
        self._options = (
            f"--repository_cache={repositories}",
            *("--color=no", "--curses=no", "--show_progress_rate_limit=30"),
        )
        subprocess.run(
            ["git", "clone", "--quiet", "--no-hardlinks", str(repository), str(self._workspace)],
            check=True,
        )

    def test(self, name: str, scope: Sequence[str], flags: Sequence[str]) -> Build:
        log = self._logs / f"{name}.json"
        started = time.monotonic()
        self._bazel(
            name, "test", *self._options, f"--execution_log_json_file={log}", *flags, *scope
        )
        seconds = time.monotonic() - started
        return Build(tuple(read_execution_log(log)), seconds)

    def clean(self) -> None:
        self._bazel("clean", "clean")

    def depends_on(self, scope: Sequence[str], sources: Sequence[str]) -> frozenset[str]:
        query = f"rdeps({' + '.join(scope)}, {' + '.join(sources)})"
        output = self._bazel(
            "cquery",
            "cquery",
            *self._options,
            *("--output=starlark", "--starlark:expr=str(target.label)", query),
        )
        return frozenset(line.removeprefix("@@") for line in output.splitlines() if line)

    def append(self, path: str, text: str) -> None:
        with (self._workspace / path).open("a", encoding="utf-8") as file:
            file.write(text)

    def restore(self) -> None:
        subprocess.run(["git", "checkout", "--quiet", "."], cwd=self._workspace, check=True)

    def shut_down(self) -> None:
        self._bazel("shutdown", "shutdown")

    def _bazel(self, name: str, *arguments: str) -> str:
        log = self._logs / f"{name}.log"
        command = [str(self._workspace / "bazelw"), *self._startup, *arguments]
        with log.open("wb") as errors:
            done = subprocess.run(
                command,
                cwd=self._workspace,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                check=False,
            )
        if done.returncode:
            last = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
            told = "\n".join(
                [*done.stdout.decode(errors="replace").splitlines()[-_LAST_LINES:], *last]
            )
            raise BuildFailed(
                f"Bazel ended with exit code {done.returncode} in the step {name}:\n{told}",
                hint="What does not build or pass is no matter of the cache: mend it first.",
            )
        return done.stdout.decode()


def remove(folder: Path) -> None:
    """Removes a folder with everything that Bazel wrote into it, some of which is read-only."""
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o700)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise Internal(f"{folder} cannot be removed: {error}") from error
