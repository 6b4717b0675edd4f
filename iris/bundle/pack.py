"""Packs files into a bundle.

The archive is a tar in the POSIX pax format, entries in the order of their paths' bytes, without
times, owners and folders, permissions 0644 or 0755, compressed with gzip. The same files give the
same bytes, whoever packs them, where and when (the compressed bytes may change with Python's zlib,
which is one reason why the digest is not over them). Plain tar and gzip, so that a person can look
into one with what every machine has.

All functions block on files; call them from a thread where that matters.
"""

import gzip
import hashlib
import io
import os
import pathlib
import stat
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from iris.bundle.digest import BundleInfo, Entry, EntryMode, check_link, check_path, describe
from iris.bundle.errors import InvalidBundle, UnpackableFolder
from iris.bundle.ignore import IgnoreRules, walk
from iris.bundle.limits import BundleLimits

_CHUNK = 1 << 20
_COMPRESSION_LEVEL = 6


def pack_directory(
    root: pathlib.Path,
    out: BinaryIO,
    *,
    ignore: IgnoreRules | None = None,
    limits: BundleLimits | None = None,
) -> BundleInfo:
    """Packs a folder.

    Args:
        root: the folder, which becomes the root of the bundle.
        out: where the archive is written. On an error it holds a part of one: throw it away.
        ignore: what to leave out; by default version control, caches and what .gitignore and
            .irisignore say.
        limits: how much it may be.

    Returns:
        The bundle's digest and size.

    Raises:
        UnpackableFolder: the root is no folder, or a file in it cannot be read, changes while it is
            read, has a path that is not UTF-8, or is a link that leads out of the folder.
        BundleTooLarge: a limit is passed.
    """
    with _Archive(out) as archive:
        return _add_directory(archive, root, ignore, limits)


def digest_directory(
    root: pathlib.Path,
    *,
    ignore: IgnoreRules | None = None,
    limits: BundleLimits | None = None,
) -> BundleInfo:
    """What `pack_directory` would return, without an archive. Raises the same errors."""
    return _add_directory(_NoArchive(), root, ignore, limits)


def pack_files(
    files: Mapping[str, pathlib.Path],
    out: BinaryIO,
    *,
    is_executable: Callable[[pathlib.Path], bool] | None = None,
    limits: BundleLimits | None = None,
) -> BundleInfo:
    """Packs named files. Links are followed: each entry is a file with the content at its path.

    Args:
        files: path in the bundle -> where the file is.
        out: as for `pack_directory`.
        is_executable: whether a file is to be executable; by default, whether its owner may.
        limits: how much it may be.

    Returns:
        The bundle's digest and size.

    Raises:
        UnpackableFolder: a file cannot be read or changes while it is read, or a path is no path in a
            bundle, or lies below one that is a file.
        BundleTooLarge: a limit is passed.
    """
    is_executable = is_executable or _owner_may_execute
    with _Archive(out) as archive:
        packing = _Packing(archive, limits or BundleLimits())
        for name in sorted(files, key=os.fsencode):
            if any(parent in files for parent in _parents(name)):
                raise UnpackableFolder(f"{name!r} lies below an entry that is a file.")
            packing.add_file(name, files[name], is_executable=is_executable)
        return describe(packing.entries)


def _add_directory(
    archive: "_Archive | _NoArchive",
    root: pathlib.Path,
    ignore: IgnoreRules | None,
    limits: BundleLimits | None,
) -> BundleInfo:
    if not root.is_dir():
        raise UnpackableFolder(f"{str(root)!r} is not a folder.", hint="Name the folder to send.")
    packing = _Packing(archive, limits or BundleLimits())
    try:
        paths = sorted(walk(root, ignore or IgnoreRules()), key=os.fsencode)
    except OSError as error:
        raise UnpackableFolder(f"{error.filename!r} cannot be read: {error.strerror}.") from error
    for path in paths:
        if (root / path).is_symlink():
            packing.add_link(path, root / path)
        else:
            packing.add_file(path, root / path, is_executable=_owner_may_execute)
    return describe(packing.entries)


def _owner_may_execute(path: pathlib.Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXUSR)


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


class _Archive:
    """The archive being written. A context manager; leaving it writes the end of the archive."""

    def __init__(self, out: BinaryIO) -> None:
        self._gzip = gzip.GzipFile(
            filename="", mode="wb", compresslevel=_COMPRESSION_LEVEL, fileobj=out, mtime=0
        )
        self._tar = tarfile.TarFile(
            fileobj=self._gzip, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8"
        )

    def __enter__(self) -> "_Archive":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._tar.close()
        self._gzip.close()

    def add(self, entry: tarfile.TarInfo, content: BinaryIO) -> None:
        """Writes one entry and exactly `entry.size` bytes of its content."""
        self._tar.addfile(entry, content)


class _NoArchive:
    """Takes the archive's place where only the digest is wanted."""

    def add(self, entry: tarfile.TarInfo, content: BinaryIO) -> None:
        """Reads what would be written."""
        left = entry.size
        while left and (chunk := content.read(min(left, _CHUNK))):
            left -= len(chunk)
        if left:
            raise OSError("unexpected end of data")


class _HashingReader(io.RawIOBase):
    """Passes reads through and hashes what was read."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self._source = source
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        self.sha256.update(data)
        return data


@dataclass(slots=True)
class _Packing:
    """The entries so far, kept within the limits."""

    archive: _Archive | _NoArchive
    limits: BundleLimits
    entries: list[Entry] = field(default_factory=list)
    content_bytes: int = 0

    def add_file(
        self, name: str, path: pathlib.Path, *, is_executable: Callable[[pathlib.Path], bool]
    ) -> None:
        """Adds a file that may change at any moment, or raises."""
        _check(check_path, name)
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                self._count(name, size)
                mode = EntryMode.EXECUTABLE if is_executable(path) else EntryMode.FILE
                reader = _HashingReader(file)
                self.archive.add(_tar_entry(name, mode, size), reader)  # type: ignore[arg-type]
                grew = bool(file.read(1))
        except OSError as error:
            if error.errno is not None:
                raise UnpackableFolder(
                    f"{str(path)!r} cannot be read: {error.strerror}."
                ) from error
            grew = True
        if grew:
            raise UnpackableFolder(
                f"{str(path)!r} changed while it was being packed.",
                hint="Try again when nothing writes to it, or name it in .irisignore.",
            )
        self.entries.append(Entry(name, mode, reader.sha256.hexdigest(), size))

    def add_link(self, name: str, path: pathlib.Path) -> None:
        """Adds a symbolic link, or raises if it leads out of the bundle."""
        _check(check_path, name)
        target = os.readlink(path)
        _check(check_link, name, target)
        content = target.encode()
        self._count(name, len(content))
        entry = _tar_entry(name, EntryMode.LINK, 0)
        entry.linkname = target
        self.archive.add(entry, io.BytesIO())
        digest = hashlib.sha256(content).hexdigest()
        self.entries.append(Entry(name, EntryMode.LINK, digest, len(content)))

    def _count(self, name: str, size: int) -> None:
        self.content_bytes += size
        self.limits.check(
            name,
            entries=len(self.entries) + 1,
            file_bytes=size,
            content_bytes=self.content_bytes,
        )


def _check(check: Callable[..., None], *arguments: str) -> None:
    """Turns what would be wrong with an archive into what is wrong with the folder."""
    try:
        check(*arguments)
    except InvalidBundle as error:
        hint = error.hint or "Name it in .irisignore."
        raise UnpackableFolder(error.problem, hint=hint) from None


def _tar_entry(name: str, mode: EntryMode, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.SYMTYPE if mode is EntryMode.LINK else tarfile.REGTYPE
    entry.mode = 0o777 if mode is EntryMode.LINK else mode.permissions
    entry.size = size
    return entry
