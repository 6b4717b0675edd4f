"""Folders that cases make on the machine that the flow runs on: bundles to send, and gates that tasks wait at."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from iris.bundle import pack_directory


@contextmanager
def folder_with(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder with these files, for as long as the block."""
    with tempfile.TemporaryDirectory(prefix="iris-smoke-") as name:
        for path, data in files.items():
            Path(name, path).write_bytes(data)
        yield Path(name)


def packed(folder: Path) -> bytes:
    """The folder as a bundle's archive."""
    with tempfile.TemporaryFile() as out:
        pack_directory(folder, out)
        out.seek(0)
        return out.read()


@dataclass(frozen=True, slots=True)
class Gate:
    """A file that tasks on this machine wait for."""

    path: Path

    def open(self) -> None:
        """Lets them pass. Idempotent."""
        self.path.touch()


@contextmanager
def gate() -> Iterator[Gate]:
    """One that is closed; it is gone after the block."""
    with tempfile.TemporaryDirectory(prefix="iris-gate-") as folder:
        yield Gate(Path(folder, "gate"))
