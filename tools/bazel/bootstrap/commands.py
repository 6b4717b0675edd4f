"""Runs the machine's own programs (apt, dpkg) with a deadline, a log and the installation's lock.

A program started here inherits the file descriptor that holds the lock. If this process is killed,
the lock stays taken until the program it left behind has ended too, so the next start never works
in a folder where an orphaned download is still writing.
"""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.bazel.bootstrap.errors import BootstrapError

_PROGRESS_INTERVAL_SECONDS = 10.0
_ERROR_LINES = 4
_ERROR_LINE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Commands:
    """Starts programs; several threads may share one instance."""

    log: Path
    """Where the programs' standard error goes."""
    inherited_descriptors: tuple[int, ...] = ()
    """Open in every program that is started (the lock)."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to this process's own environment."""

    def run(
        self,
        arguments: Sequence[str | Path],
        *,
        deadline_seconds: float,
        directory: Path | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> str:
        """Returns what the program printed on its standard output.

        Args:
            arguments: The program and its arguments.
            deadline_seconds: After this long the program is killed.
            directory: The program's working directory.
            on_wait: Called every ten seconds while the program runs.

        Raises:
            BootstrapError: It cannot be started, failed, or ran into the deadline.
        """
        name = Path(arguments[0]).name
        with self.log.open("ab") as log:
            start = log.tell()
            try:
                process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=directory,
                    env={**os.environ, "LC_ALL": "C", **self.environment},
                    pass_fds=self.inherited_descriptors,
                )
            except OSError as error:
                raise BootstrapError(f"cannot start {name}: {error.strerror}") from error
            with process:
                output = _wait(process, name, deadline_seconds, on_wait)
            log.write(output)
        if process.returncode != 0:
            reason = _last_lines(self.log, start)
            raise BootstrapError(
                f"{name} failed with exit code {process.returncode} (log: {self.log}): {reason}"
            )
        return output.decode(errors="replace")


def _wait(
    process: subprocess.Popen[bytes],
    name: str,
    deadline_seconds: float,
    on_wait: Callable[[], None],
) -> bytes:
    remaining = deadline_seconds
    try:
        while True:
            step = min(_PROGRESS_INTERVAL_SECONDS, remaining)
            try:
                return process.communicate(timeout=step)[0]
            except subprocess.TimeoutExpired:
                remaining -= step
                if remaining <= 0:
                    raise BootstrapError(
                        f"{name} did not end within {deadline_seconds:.0f} s; try again later"
                    ) from None
                on_wait()
    except BaseException:
        process.kill()
        raise


def _last_lines(log: Path, start: int) -> str:
    """The end of what one program wrote; its errors only, where it marks them as such."""
    with log.open("rb") as stream:
        stream.seek(start)
        lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines()]
    errors = [line for line in lines if line.startswith(("E:", "Err:", "dpkg-deb: error"))]
    chosen = (errors or [line for line in lines if line])[-_ERROR_LINES:]
    return " | ".join(line[:_ERROR_LINE_CHARACTERS] for line in chosen) or "it said nothing"
