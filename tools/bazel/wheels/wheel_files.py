"""Lays a wheel out as a Bazel repository, the same bytes for the same wheel everywhere.

Unlike an installer it writes nothing that a machine could show through: no INSTALLER, direct_url or
rewritten RECORD, no console scripts (their first line names an interpreter). The layout is that of
rules_python, so that BUILD files and programs find things where they would with the original:

    site-packages/   what is imported, and the .dist-info folder
    bin/  data/  include/   from the wheel's NAME-VERSION.data folder
"""

import compileall
import email.parser
import pathlib
import py_compile
import shutil
import stat
import zipfile

_DATA_FOLDERS = {
    "data": "data",
    "headers": "include",
    "platlib": "site-packages",
    "purelib": "site-packages",
    "scripts": "bin",
}


class WheelError(ValueError):
    """A file that is no usable wheel. The message names it and the member that is wrong."""


def unpack_wheel(wheel: pathlib.Path, destination: pathlib.Path) -> None:
    """Unpacks a wheel into `destination`, which need not exist.

    Args:
        wheel: the .whl file.
        destination: the repository's root.

    Raises:
        WheelError: a member lies outside its folder, is no file, or two members have one path.
    """
    written: set[str] = set()
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            path = _path_in_repository(wheel, member)
            if path in written:
                raise WheelError(f"{wheel.name}: two members become {path}")
            written.add(path)
            target = destination / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            target.chmod(0o755 if _is_program(member, path) else 0o644)


def _path_in_repository(wheel: pathlib.Path, member: zipfile.ZipInfo) -> str:
    parts = member.filename.split("/")
    file_type = stat.S_IFMT(member.external_attr >> 16)
    if file_type not in (0, stat.S_IFREG):
        raise WheelError(f"{wheel.name}: {member.filename} is not a plain file")
    if any(part in ("", ".", "..") for part in parts) or "\\" in member.filename:
        raise WheelError(f"{wheel.name}: {member.filename} lies outside the wheel")
    if not parts[0].endswith(".data"):
        return "/".join(["site-packages", *parts])
    if len(parts) < 3 or parts[1] not in _DATA_FOLDERS:
        raise WheelError(f"{wheel.name}: {member.filename} is in no folder that wheels have")
    return "/".join([_DATA_FOLDERS[parts[1]], *parts[2:]])


def _is_program(member: zipfile.ZipInfo, path: str) -> bool:
    return bool(member.external_attr >> 16 & 0o111) or path.startswith("bin/")


def compile_modules(destination: pathlib.Path) -> None:
    """Adds byte code, which a sandbox would otherwise make anew for every test (a second for pytest).

    The same interpreter makes the same bytes wherever it runs: they hold neither a time (they are
    valid for as long as they lie beside their source, which Bazel sees to) nor the folder's path, and
    since Python 3.11 not the order of sets. Modules that do not compile, such as templates and tests
    of syntax errors, are left without.

    Args:
        destination: where `unpack_wheel` put the wheel.
    """
    site_packages = destination / "site-packages"
    for source in sorted(site_packages.rglob("*.py")):
        compileall.compile_file(
            source,
            quiet=2,
            stripdir=str(destination),
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    for cache in site_packages.rglob("__pycache__"):
        cache.chmod(0o755)
        for file in cache.iterdir():
            file.chmod(0o644)


def requires_dist(destination: pathlib.Path) -> list[str]:
    """What an unpacked wheel says it needs, as written in its METADATA.

    Args:
        destination: where `unpack_wheel` put it.

    Raises:
        WheelError: it has no METADATA, or more than one.
    """
    found = list((destination / "site-packages").glob("*.dist-info/METADATA"))
    if len(found) != 1:
        raise WheelError(f"{destination}: {len(found)} .dist-info/METADATA files, expected one")
    message = email.parser.Parser().parsestr(found[0].read_text(encoding="utf-8"))
    return list(message.get_all("Requires-Dist") or [])
