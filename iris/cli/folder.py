"""The folder that travels with a job: the caller's, or the one that was named; never a whole home
or disk.
"""

from collections.abc import Mapping
from pathlib import Path

from iris.bundle import BundleInfo
from iris.cli.errors import UsageError
from iris.cli.wording import plural
from iris.model.resources import MIB, format_bytes

# Above these a bundle is probably not what was meant.
_MANY_FILES = 2_000
_MANY_BYTES = 100 * MIB


def caller_folder(environment: Mapping[str, str], cwd: Path) -> Path:
    """Where the person stands who called: `bazel run` changes the current folder, and the wrapper
    and Bazel tell the old one.
    """
    told = environment.get("IRIS_CALLER_DIRECTORY") or environment.get("BUILD_WORKING_DIRECTORY")
    return Path(told) if told else cwd


def bundle_folder(named: str | None, caller: Path, home: str | None) -> Path:
    """The folder to pack. Raises UsageError for one that does not exist, and for a home, what is
    above it, and `/`.
    """
    folder = (caller / (named or ".")).resolve()
    if not folder.is_dir():
        raise UsageError(
            f"{str(folder)!r} is not a folder.",
            hint="Name the folder with the job's files: --bundle-dir.",
        )
    homes = [Path(home).resolve()] if home else []
    if folder == Path(folder.anchor) or any(
        folder == one or folder in one.parents for one in homes
    ):
        what = (
            "the whole disk" if folder == Path(folder.anchor) else "your home folder, or above it"
        )
        raise UsageError(
            f"{str(folder)!r} is {what}; it is not sent as a job's bundle.",
            hint="Go to the project's folder, name one with --bundle-dir, or send none with --no-bundle.",
        )
    return folder


def describe_bundle(info: BundleInfo, folder: Path) -> str:
    """What travels, in one line."""
    return f"bundle of {folder}: {plural(info.entries, 'file')}, {format_bytes(info.content_bytes)}"


def size_hint(info: BundleInfo) -> str:
    """What to do about a bundle that is large; empty when it is not."""
    if info.entries <= _MANY_FILES and info.content_bytes <= _MANY_BYTES:
        return ""
    return "That is a lot to send; what the job does not read can be named in .irisignore, as in a .gitignore."
