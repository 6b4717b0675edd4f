"""What this process itself would import of Iris, as the contents of a file to ship: where no build made one,
the code that runs here is the code that is shipped.
"""

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from iris.model.errors import FailedPrecondition

# What requirements.in names for Iris itself. What these need comes with them.
DISTRIBUTIONS = (
    "absl-py",
    "cloudpickle",
    "grpcio",
    "msgspec",
    "pathspec",
    "protobuf",
    "psutil",
    "pyyaml",
    "rich",
    "sortedcontainers",
    "uv",
)
# Modules of ours, each with one that tells where the package lies.
_PACKAGES = {"iris": "iris.version", "iris_proto": "iris_proto.config_pb2"}
# Nobody ships tests, nor what only they and the smoke flow use.
_LEFT_OUT_ROOMS = frozenset({"testing", "simulation", "smoke"})
_LEFT_OUT = ("*_test.py", "*_fixture.py", "conftest.py", "*.pyc", "BUILD.bazel")
_PROGRAMS = frozenset({"uv"})


def environment_files() -> dict[str, Path]:
    """See Archive.files. Raises FailedPrecondition if something that Iris needs is not installed."""
    files: dict[str, Path] = {}
    for package, module in _PACKAGES.items():
        files.update(_package_files(package, module))
    for name in _with_needed(DISTRIBUTIONS):
        files.update(_distribution_files(name))
    return files


def _package_files(package: str, module: str) -> Iterator[tuple[str, Path]]:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise FailedPrecondition(f"{module} is not here: Iris cannot be shipped.")
    root = Path(spec.origin).parent
    for path in root.rglob("*"):
        inside = path.relative_to(root)
        left_out = inside.parts[0] in _LEFT_OUT_ROOMS or any(map(inside.match, _LEFT_OUT))
        if path.is_file() and not left_out:
            yield f"site/{package}/{inside.as_posix()}", path


def _with_needed(names: tuple[str, ...]) -> list[str]:
    """The distributions, and those that they need."""
    todo, seen = list(names), set[str]()
    while todo:
        name = todo.pop()
        if (key := _normal(name)) in seen:
            continue
        seen.add(key)
        for requirement in _distribution(name).requires or ():
            # Extras are asked for by nobody; other markers are about other Pythons.
            needed, _, marker = requirement.partition(";")
            if not marker or _holds(marker):
                todo.append(re.split(r"[\s<>=!~\[(]", needed.strip(), maxsplit=1)[0])
    return sorted(seen)


def _holds(marker: str) -> bool:
    """Only whether what it is about is installed can be told without a parser of markers."""
    return "extra" not in marker and "python_version" not in marker


def _distribution_files(name: str) -> Iterator[tuple[str, Path]]:
    distribution = _distribution(name)
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        inside = PurePosixPath(file.as_posix())
        if not path.is_file() or inside.suffix == ".pyc":
            continue
        if inside.parts[0] != "..":
            yield f"site/{inside}", path
        elif inside.name in _PROGRAMS:
            yield f"bin/{inside.name}", path


def _distribution(name: str) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise FailedPrecondition(
            f"{name} is not installed here: Iris cannot be shipped to other machines.",
            hint="Install all that requirements_lock.txt names.",
        ) from error


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
