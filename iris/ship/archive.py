"""Writes the file. The same contents give the same bytes, whoever writes it and wherever."""

import hashlib
import json
import platform
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from iris.host.files import TEMPORARY_SUFFIX
from iris.ship.inside import run, start

# zip cannot say anything earlier.
_TIME = (1980, 1, 1, 0, 0, 0)
_COMPRESSION_LEVEL = 6
_FIRST_LINE = b"#!/usr/bin/env python3\n"
_PROGRAM, _PLAIN = 0o755, 0o644
_FILE = 0o100000


@dataclass(frozen=True, slots=True)
class Archive:
    """What goes into the file.

    Attributes:
        files: Of every file, path in the folder that it is unpacked into -> where it lies now.
            Modules stand below `site/`, programs in `bin/`.
    """

    files: Mapping[str, Path]

    def about(self) -> dict[str, object]:
        """What the file says of itself: its contents' digest, and where it can run, which is where
        the wheels of this very Python can.
        """
        found = hashlib.sha256()
        for path, source in sorted(self._all().items()):
            data = source if isinstance(source, bytes) else source.read_bytes()
            found.update(f"{path}\0{_mode(path):o}\0{hashlib.sha256(data).hexdigest()}\n".encode())
        return {
            "digest": found.hexdigest()[:32],
            "python": list(sys.version_info[:2]),
            "implementation": sys.implementation.name,
            "system": platform.system(),
            "machine": platform.machine(),
        }

    def _all(self) -> dict[str, Path | bytes]:
        return {**self.files, "run.py": _source(run.__file__)}

    def write(self, target: Path) -> None:
        """Raises OSError; nothing is at `target` then."""
        making = target.with_name(f".{target.name}{TEMPORARY_SUFFIX}")
        try:
            with making.open("wb") as raw:
                raw.write(_FIRST_LINE)
                with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as file:
                    _add(file, "__main__.py", _source(start.__file__))
                    _add(file, start.ABOUT, json.dumps(self.about(), sort_keys=True).encode())
                    for path, source in sorted(self._all().items()):
                        data = source if isinstance(source, bytes) else source.read_bytes()
                        _add(file, start.PAYLOAD + path, data, _mode(path))
            making.chmod(_PROGRAM)
            making.replace(target)
        except BaseException:
            making.unlink(missing_ok=True)
            raise


def write_archive(files: Mapping[str, Path], target: Path) -> None:
    """See Archive."""
    Archive(files).write(target)


def _add(file: zipfile.ZipFile, path: str, data: bytes, mode: int = _PLAIN) -> None:
    info = zipfile.ZipInfo(path, _TIME)
    info.create_system = 3  # Unix, wherever it is written
    info.external_attr = (_FILE | mode) << 16
    file.writestr(info, data, zipfile.ZIP_DEFLATED, _COMPRESSION_LEVEL)


def _mode(path: str) -> int:
    """By its place, not by what the file system here says: a cache of the build may not keep that."""
    return _PROGRAM if path.startswith("bin/") else _PLAIN


def _source(path: str | None) -> bytes:
    assert path is not None
    return Path(path).read_bytes()
