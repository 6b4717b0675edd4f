"""What goes into a Python environment, and the key under which all who ask for the same find it."""

import hashlib
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from iris.model.environment import EnvironmentSpec
from iris.model.errors import FailedPrecondition, InvalidArgument

# Part of every key: what is built in another way is another environment.
_RECIPE = b"iris python environment, version 1\n"
# Locks of large projects have some 100,000 lines.
_MAX_LOCK_BYTES = 32 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class EnvironmentInputs:
    """Attributes:

    key: Hex; the same for what leads to the same environment on this machine.
    lock: The lock file's content; None for an environment with nothing in it.
    project: Of the pyproject.toml beside a uv.lock.
    wheelhouse: The folder with the wheels.
    """

    key: str
    lock: bytes | None = None
    project: bytes | None = None
    wheelhouse: Path | None = None


def read_inputs(spec: EnvironmentSpec, bundle: Path | None) -> EnvironmentInputs:
    """Reads all files that the specification names, also every wheel. Blocks.

    Raises:
        FailedPrecondition: the bundle lacks one.
        InvalidArgument: the lock file is too large to be one.
    """
    digest = hashlib.sha256(_RECIPE)
    _add(digest, "python", (spec.python or own_python()).encode())
    if not spec.lock_file:
        return EnvironmentInputs(digest.hexdigest())
    if bundle is None:
        raise FailedPrecondition(
            f"The job names the lock file {spec.lock_file!r} and has no bundle.",
            hint="Submit it with the bundle that has the file.",
        )
    lock = _read(bundle, spec.lock_file)
    _add(digest, "lock", lock)
    project = None
    if spec.is_uv_lock:
        project = _read(bundle, str(Path(spec.lock_file).with_name("pyproject.toml")))
        _add(digest, "project", project)
    wheelhouse = None
    if spec.wheelhouse:
        wheelhouse = bundle / spec.wheelhouse
        for name, content in _wheels(wheelhouse, spec.wheelhouse):
            _add(digest, f"wheel {name}", content)
    return EnvironmentInputs(digest.hexdigest(), lock, project, wheelhouse)


def own_python() -> str:
    """What this process runs on, so that another one, or a newer one, makes another environment."""
    implementation = platform.python_implementation()
    return f"{implementation} {platform.python_version()} at {sys.base_prefix}"


def _add(digest: "hashlib._Hash", what: str, content: bytes) -> None:
    digest.update(f"{what}\0{len(content)}\0".encode(errors="surrogateescape") + content)


def _read(bundle: Path, path: str) -> bytes:
    try:
        with (bundle / path).open("rb") as file:
            content = file.read(_MAX_LOCK_BYTES + 1)
    except OSError as error:
        raise FailedPrecondition(
            f"The bundle's {path!r} cannot be read: {error.strerror}.",
            hint="Is it named in .gitignore or .irisignore, and so not packed?",
        ) from error
    if len(content) > _MAX_LOCK_BYTES:
        raise InvalidArgument(
            f"{path!r} has more than {_MAX_LOCK_BYTES >> 20} MiB.", hint="Is it a lock file?"
        )
    return content


def _wheels(folder: Path, path: str) -> list[tuple[str, bytes]]:
    """The name of each file in the folder and the digest of its content."""
    try:
        names = sorted(os.listdir(folder))
        files = [name for name in names if (folder / name).is_file()]
        return [(name, _digest_of(folder / name)) for name in files]
    except OSError as error:
        raise FailedPrecondition(
            f"The bundle's wheelhouse {path!r} cannot be read: {error.strerror}.",
            hint="Is it named in .gitignore or .irisignore, and so not packed?",
        ) from error


def _digest_of(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()
