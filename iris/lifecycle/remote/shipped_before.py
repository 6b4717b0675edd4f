"""Versions of Iris that were shipped to this machine, and that nothing runs from any more."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import iris
from iris.host.processes import all_processes, process_strings
from iris.ship.inside.start import COPY

# Somebody may be about to run what has just arrived.
_KEPT_SECONDS = 3600.0
_FILE = "iris-{digest}.pyz"


def discard_shipped_before(running: Path | None = None, *, now: float | None = None) -> list[str]:
    """Removes them from where this process's own version was shipped to; their digests. Nothing happens
    where this process does not run from what was shipped.

    Workers that a reload has kept run on from the version that they were started from: it stays.

    Args:
        running: Folder that this process's version was unpacked into; default: of this process.
        now: On the clock of files, in seconds.
    """
    own = running or Path(iris.__path__[0]).parents[1]
    folder = own.parent
    if not (own / COPY).is_file() or not (folder / _FILE.format(digest=own.name)).is_file():
        return []
    until = (time.time() if now is None else now) - _KEPT_SECONDS
    old = [digest for digest in _others(folder, own.name) if _arrived(folder, digest) < until]
    unused = sorted(set(old) - _used(folder, old)) if old else []
    for digest in unused:
        # The file first: without it nobody counts on the folder.
        (folder / _FILE.format(digest=digest)).unlink(missing_ok=True)
        shutil.rmtree(folder / digest, ignore_errors=True)
    return unused


def _others(folder: Path, own: str) -> Iterator[str]:
    before, after = _FILE.split("{digest}")
    for path in folder.glob(_FILE.format(digest="*")):
        digest = path.name.removeprefix(before).removesuffix(after)
        if digest != own:
            yield digest


def _arrived(folder: Path, digest: str) -> float:
    return (folder / _FILE.format(digest=digest)).stat().st_mtime


def _used(folder: Path, digests: list[str]) -> set[str]:
    """Those that any process was started from: it has the folder on its command line or its PYTHONPATH."""
    places = {
        digest: (f"{folder / digest}/", str(folder / _FILE.format(digest=digest)))
        for digest in digests
    }
    used = set()
    for process in all_processes():
        strings = [*process_strings(process, "cmdline"), *process_strings(process, "environ")]
        used |= {
            digest
            for digest, names in places.items()
            if any(name in text for text in strings for name in names)
        }
    return used
