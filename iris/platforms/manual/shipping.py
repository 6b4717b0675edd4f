"""The file that hosts' workers run from: found, or made, once for all groups of a cluster."""

import asyncio
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iris.ship.inside.start import ABOUT


@dataclass(frozen=True, slots=True)
class Shipped:
    """Attributes:

    about: What the file says of itself; see iris.ship.archive.Archive.about.
    """

    path: Path
    about: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Of its contents."""
        return str(self.about["digest"])

    def path_in(self, folder: str) -> str:
        """Where it lies on a host; another content has another name."""
        return f"{folder}/iris-{self.digest}.pyz"


class Shipping:
    """Belongs to one event loop.

    Args:
        find: The file, e.g. iris.ship.shipped_file; may take some seconds, and is called in a thread.
    """

    def __init__(self, find: Callable[[], Path]) -> None:
        self._find = find
        self._found: Shipped | None = None
        self._finding = asyncio.Lock()

    async def file(self) -> Shipped:
        """Raises what `find` raises; the next call then tries again."""
        async with self._finding:
            if self._found is None:
                path = await asyncio.to_thread(self._find)
                self._found = Shipped(path, await asyncio.to_thread(_about, path))
            return self._found


def described(python: Mapping[str, Any]) -> str:
    """E.g. cpython 3.11 on Linux x86_64."""
    version = ".".join(map(str, python["python"]))
    return f"{python['implementation']} {version} on {python['system']} {python['machine']}"


def _about(path: Path) -> Mapping[str, Any]:
    with zipfile.ZipFile(path) as file:
        return dict(json.loads(file.read(ABOUT)))
