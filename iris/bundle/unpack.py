"""Unpacks and checks bundles, which may come from anyone who may submit a job.

Nothing is trusted: paths and links must stay inside, an entry is a plain file or a link, none occurs
twice or lies below another, the limits hold for what really comes out of the archive whatever its
headers say, and the digest must be right. The files are written under a temporary name beside the
destination, which appears by one rename when all of it is there and verified.

All functions block on files; call them from a thread where that matters.
"""

import contextlib
import errno
import gzip
import hashlib
import io
import os
import pathlib
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from iris.bundle.digest import BundleInfo, Entry, EntryMode, check_link, check_path, describe
from iris.bundle.errors import BundleMismatch, BundleTooLarge, InvalidBundle
from iris.bundle.limits import MAX_HEADER_BYTES, BundleLimits
from iris.model.errors import AlreadyExists

UNPACKING_PREFIX = ".unpacking-"
"""How the temporary folders are called. One that is left was left by a process that was killed."""

_CHUNK = 1 << 20


def unpack(
    archive: pathlib.Path | BinaryIO,
    destination: pathlib.Path,
    *,
    expected_digest: str,
    limits: BundleLimits | None = None,
) -> BundleInfo:
    """Unpacks a bundle into a new folder, all or nothing.

    Args:
        archive: the file, or an open one, which is read from where it stands.
        destination: the folder to make, in an existing one. Must not exist.
        expected_digest: what the bundle must be, as "sha256:<hex>".
        limits: how much it may be.

    Returns:
        The bundle's digest and size.

    Raises:
        InvalidBundle: it is no bundle, or an entry would escape.
        BundleTooLarge: a limit is passed.
        BundleMismatch: its digest is another one.
        AlreadyExists: the destination exists.
        OSError: the disk is full, or the folder cannot be written.
    """
    if destination.is_symlink() or destination.exists():
        raise AlreadyExists(
            f"{str(destination)!r} exists.", hint="A bundle goes into a new folder."
        )
    folder = pathlib.Path(tempfile.mkdtemp(prefix=UNPACKING_PREFIX, dir=destination.parent))
    try:
        with _writing(folder) as sink:
            info = _read(archive, sink, limits or BundleLimits())
        if info.digest != expected_digest:
            raise BundleMismatch(
                f"The bundle's content has the digest {info.digest}, not {expected_digest}.",
                hint="Send it again.",
            )
        folder.chmod(0o755)
        _rename(folder, destination)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return info


def inspect_archive(
    archive: pathlib.Path | BinaryIO, *, limits: BundleLimits | None = None
) -> BundleInfo:
    """Checks all that `unpack` checks and returns what the bundle is, without writing anything.

    Raises:
        InvalidBundle: it is no bundle, or an entry would escape.
        BundleTooLarge: a limit is passed.
    """
    return _read(archive, _NoFolder(), limits or BundleLimits())


class _Sink(Protocol):
    """Where the entries go."""

    def open(self, path: str, mode: EntryMode) -> BinaryIO:
        """A new file's content is written to this, which is then closed."""
        ...

    def link(self, path: str, target: str) -> None:
        """A link, with a target that was found harmless."""
        ...


class _NoFolder:
    """Takes no notice of anything."""

    def open(self, path: str, mode: EntryMode) -> BinaryIO:
        return open(os.devnull, "wb")

    def link(self, path: str, target: str) -> None:
        pass


@dataclass(slots=True)
class _Folder:
    """Writes into a fresh folder. Links come last, so that nothing is ever written through one."""

    root: pathlib.Path
    links: list[tuple[str, str]] = field(default_factory=list)
    folders: set[pathlib.Path] = field(default_factory=set)

    def open(self, path: str, mode: EntryMode) -> BinaryIO:
        target = self._place(path)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode.permissions)
        os.fchmod(descriptor, mode.permissions)  # whatever the umask says
        return os.fdopen(descriptor, "wb")

    def link(self, path: str, target: str) -> None:
        self.links.append((path, target))

    def make_links(self) -> None:
        """Makes the links that were put off."""
        for path, target in self.links:
            self._place(path).symlink_to(target)

    def _place(self, path: str) -> pathlib.Path:
        target = self.root / path
        missing = []
        folder = target.parent
        while folder != self.root and folder not in self.folders:
            missing.append(folder)
            folder = folder.parent
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
            self.folders.add(folder)
        return target


@contextlib.contextmanager
def _writing(root: pathlib.Path) -> Iterator[_Folder]:
    """A folder to write to; two paths that are one to this file system are an invalid bundle."""
    folder = _Folder(root)
    try:
        yield folder
        folder.make_links()
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidBundle(
            f"Two entries have one path on this file system: {error.filename!r}.",
            hint="Do the names differ in upper and lower case only?",
        ) from error


def _rename(folder: pathlib.Path, destination: pathlib.Path) -> None:
    try:
        folder.rename(destination)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise AlreadyExists(
                f"{str(destination)!r} exists.", hint="Someone was faster."
            ) from error
        raise


def _read(archive: pathlib.Path | BinaryIO, sink: _Sink, limits: BundleLimits) -> BundleInfo:
    """Reads an archive to its end, or raises."""
    with contextlib.ExitStack() as stack:
        source = (
            stack.enter_context(archive.open("rb"))
            if isinstance(archive, pathlib.Path)
            else archive
        )
        unzipped = stack.enter_context(gzip.GzipFile(fileobj=source, mode="rb"))
        bounded = _BoundedReader(unzipped, limits)
        reading = _Reading(sink, limits)
        try:
            tar = stack.enter_context(
                tarfile.open(
                    fileobj=bounded,
                    mode="r|",
                    encoding="utf-8",
                    errors="strict",
                    tarinfo=_StrictTarInfo,
                )
            )
            for entry in tar:
                reading.add(tar, entry)
            _expect_end(bounded)
        except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, UnicodeError) as error:
            raise InvalidBundle(f"This is not a bundle, or not all of one: {error}.") from error
        return describe(reading.entries.values())


def _expect_end(archive: io.RawIOBase) -> None:
    """Reads what follows the entries: padding. It also makes gzip check its sum and its length."""
    while padding := archive.read(_CHUNK):
        if padding.strip(b"\0"):
            raise InvalidBundle("There is something behind the end of the archive.")


class _StrictTarInfo(tarfile.TarInfo):
    """Refuses, header by header, what no bundle has, before tarfile does anything about it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_StrictTarInfo":
        header = super().frombuf(buf, encoding, errors)
        if header.type not in (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.XHDTYPE):
            raise InvalidBundle(
                f"The entry {header.name!r} is neither a file nor a link (tar type {header.type!r})."
            )
        if header.type == tarfile.XHDTYPE and header.size > MAX_HEADER_BYTES:
            raise InvalidBundle(f"The entry {header.name!r} has a header of {header.size:,} bytes.")
        return header


class _BoundedReader(io.RawIOBase):
    """Reads no more out of an archive than a bundle within the limits can have."""

    def __init__(self, source: gzip.GzipFile, limits: BundleLimits) -> None:
        super().__init__()
        self._source = source
        self._left = limits.archive_bytes

    def read(self, size: int = -1) -> bytes:
        """As a file's; tarfile asks for one record at a time."""
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise BundleTooLarge(
                "The archive holds more than the limits allow, however it is divided into entries.",
                hint="Leave out what the job does not read: name it in .irisignore.",
            )
        return data


@dataclass(slots=True)
class _Reading:
    """The entries so far, none of which is in another's way."""

    sink: _Sink
    limits: BundleLimits
    entries: dict[str, Entry] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    content_bytes: int = 0

    def add(self, tar: tarfile.TarFile, header: tarfile.TarInfo) -> None:
        """Takes one entry."""
        path = header.name
        check_path(path)
        if header.issparse() or header.size < 0:
            raise InvalidBundle(f"The entry {path!r} is not a plain file.")
        self._claim(path)
        size = len(header.linkname.encode()) if header.issym() else header.size
        self.content_bytes += size
        self.limits.check(
            path, entries=len(self.entries) + 1, file_bytes=size, content_bytes=self.content_bytes
        )
        self.entries[path] = self._link(header) if header.issym() else self._file(tar, header)

    def _claim(self, path: str) -> None:
        parts = path.split("/")
        parents = ["/".join(parts[:length]) for length in range(1, len(parts))]
        in_the_way = [parent for parent in parents if parent in self.entries]
        if in_the_way or path in self.entries or path in self.folders:
            raise InvalidBundle(
                f"The entry {path!r} is in the way of {(in_the_way or [path])[0]!r}."
            )
        self.folders.update(parents)

    def _link(self, header: tarfile.TarInfo) -> Entry:
        check_link(header.name, header.linkname)
        self.sink.link(header.name, header.linkname)
        content = header.linkname.encode()
        return Entry(header.name, EntryMode.LINK, hashlib.sha256(content).hexdigest(), len(content))

    def _file(self, tar: tarfile.TarFile, header: tarfile.TarInfo) -> Entry:
        mode = EntryMode.EXECUTABLE if header.mode & 0o100 else EntryMode.FILE
        content = tar.extractfile(header)
        if content is None:
            raise InvalidBundle(f"The entry {header.name!r} has no content.")
        digest = hashlib.sha256()
        size = 0
        with content, self.sink.open(header.name, mode) as file:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        if size != header.size:
            raise InvalidBundle(
                f"The entry {header.name!r} ends after {size:,} of {header.size:,} bytes."
            )
        return Entry(header.name, mode, digest.hexdigest(), size)
