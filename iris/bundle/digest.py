"""What an entry of a bundle is, and the digest over all of them.

The digest is the SHA-256 of a line of text and, for each entry in the order of its path's bytes,

    <mode> SP <SHA-256 of the content, in hex> SP <path> NUL

with the mode 100644 of a file, 100755 of a file that its owner may execute, or 120000 of a symbolic
link, whose content is its target. (The modes are git's; so is what is left out: empty folders,
owners, times.) Its string form is "sha256:" and 64 hex digits.
"""

import enum
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from iris.bundle.errors import InvalidBundle

_FORMAT = b"iris bundle, version 1\n"
_MAX_COMPONENT_BYTES = 255
_MAX_PATH_BYTES = 4096


class EntryMode(enum.Enum):
    """What an entry is; the value is what goes into the digest."""

    FILE = "100644"
    EXECUTABLE = "100755"
    LINK = "120000"

    @property
    def permissions(self) -> int:
        """As for chmod. A link has none of its own."""
        return 0o755 if self is EntryMode.EXECUTABLE else 0o644


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or link of a bundle, without its content."""

    path: str
    """Relative to the bundle's root, with `/`."""
    mode: EntryMode
    content_sha256: str
    """Of the file's bytes, or of a link's target in UTF-8; hex."""
    size: int
    """Of the same, in bytes."""


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """What a bundle is and how large."""

    digest: str
    """"sha256:" and 64 hex digits."""
    entries: int
    """Files and links."""
    content_bytes: int
    """Of all files together, unpacked."""


def describe(entries: Iterable[Entry]) -> BundleInfo:
    """The digest and the totals of a bundle with these entries, in whatever order they come."""
    ordered = sorted(entries, key=lambda entry: entry.path.encode())
    digest = hashlib.sha256(_FORMAT)
    for entry in ordered:
        digest.update(f"{entry.mode.value} {entry.content_sha256} {entry.path}\0".encode())
    return BundleInfo(
        digest=f"sha256:{digest.hexdigest()}",
        entries=len(ordered),
        content_bytes=sum(entry.size for entry in ordered),
    )


def check_path(path: str) -> None:
    """Checks that a path stays below the root wherever a bundle is unpacked.

    Raises:
        InvalidBundle: it is absolute, empty, has `.`, `..` or an empty part, NUL, a part or a whole
            that is longer than file systems take, or is not UTF-8.
    """
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        raise InvalidBundle(f"The path {path!r} is not UTF-8.", hint="Rename the file.") from None
    parts = path.split("/")
    if "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise InvalidBundle(f"The path {path!r} does not stay inside the bundle.")
    if len(encoded) > _MAX_PATH_BYTES or any(
        len(part.encode()) > _MAX_COMPONENT_BYTES for part in parts
    ):
        raise InvalidBundle(f"The path {path[:80]!r}... is too long for file systems.")


def check_link(path: str, target: str) -> None:
    """Checks that following a link does not leave the bundle.

    A target may first go up, at most to the root, and then only down. Were `..` allowed after a name,
    the name could be a link itself, and where `..` leads from there nobody can tell from the text.

    Args:
        path: where the link is; its folders are real ones.
        target: what it says.

    Raises:
        InvalidBundle: the target is absolute, empty, not UTF-8, goes up too far or after going down.
    """
    parts = target.split("/")
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    try:
        target.encode()
    except UnicodeEncodeError:
        raise InvalidBundle(f"The target of the link {path!r} is not UTF-8.") from None
    if (
        not target
        or target.startswith("/")
        or "\0" in target
        or ".." in parts[ups:]
        or ups > path.count("/")
    ):
        raise InvalidBundle(
            f"The link {path!r} leads to {target!r}, which is not inside the bundle.",
            hint="Links must be relative, up first and then down, and stay below the root.",
        )
