"""Where the file to ship is, for whoever runs."""

import hashlib
import os
from pathlib import Path

import iris
from iris.host.files import private_folder
from iris.ship.archive import Archive
from iris.ship.environment import environment_files
from iris.ship.inside.start import COPY

# In a workspace: where a build puts it that wants it at hand (see //tools/ship).
_BUILT = Path("tools", "ship", "iris.pyz")


def shipped_file(cache: Path) -> Path:
    """The file with the code that runs here: the one this process itself was started from, the one
    that came with its build, or one that is made now, in the folder `cache`, and kept there.

    Blocks, for some seconds where it has to be made. Raises OSError, or FailedPrecondition if
    something is not installed that has to be in it.
    """
    root = Path(iris.__path__[0]).parent
    for there in (root.parent / COPY, root / _BUILT):
        if there.is_file():
            return there
    files = environment_files()
    target = private_folder(cache) / f"iris-{_print(files)}.pyz"
    if not target.exists():
        Archive(files).write(target)
    return target


def _print(files: dict[str, Path]) -> str:
    """Changes when any of the files does, as far as the file system tells; reading them all would take as long
    as writing the file.
    """
    found = hashlib.sha256()
    for path, source in sorted(files.items()):
        seen = os.stat(source)
        found.update(f"{path}\0{source}\0{seen.st_size}\0{seen.st_mtime_ns}\n".encode())
    return found.hexdigest()[:32]
