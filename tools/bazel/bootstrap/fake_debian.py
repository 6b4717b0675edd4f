"""Stands in for apt and dpkg in tests: one program that acts as the one its first argument names.

It behaves as the real ones do where the bootstrap can tell: it reads APT_CONFIG, honours the list of
installed packages and the download folder, keeps finished downloads, and writes errors as apt does.
What the "archive" holds, and what goes wrong, is files in the folder FAKE_DEBIAN:

    archive/*.deb       the packages (tar archives)
    candidate-SUITE     the version of Bazel that SUITE offers; without it SUITE cannot be fetched
    machine.conf        what `apt-config dump` prints
    calls               a line for every call, written here
    downloading         a FIFO: told when a download has begun, half of it done
    release             a FIFO: if it is there, a download waits for a byte from it

Run as a program only; a test imports nothing from here.
"""

import os
import re
import shutil
import sys
import tarfile
from pathlib import Path


def main(name: str, arguments: list[str]) -> int:
    fake = Path(os.environ["FAKE_DEBIAN"])
    with (fake / "calls").open("a") as calls:
        calls.write(f"{name} {' '.join(arguments)}\n")
    match name:
        case "apt-config":
            print((fake / "machine.conf").read_text(), end="")
        case "apt-cache":
            _print_candidate(fake)
        case "apt-get" if "update" in arguments:
            return _update(fake)
        case "apt-get" if "--print-uris" in arguments:
            _print_uris(fake)
        case "apt-get":
            _download(fake)
        case "dpkg":
            print("amd64")
        case "dpkg-deb":
            _unpack(Path(arguments[1]), Path(arguments[2]))
        case _:
            raise ValueError(f"no such program: {name!r}")
    return 0


def _unpack(package: Path, target: Path) -> None:
    # Not `extractall`: unlike the real program it fails when another makes the same folder.
    with tarfile.open(package) as members:
        for member in members:
            path = target / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = members.extractfile(member)
            assert content is not None, member.name
            path.write_bytes(content.read())
            path.chmod(member.mode)


def _setting(name: str) -> str:
    """The last value of one setting in the private configuration."""
    text = Path(os.environ["APT_CONFIG"]).read_text()
    values: list[str] = re.findall(rf'^{re.escape(name)} "(.*)";$', text, re.MULTILINE)
    return values[-1]


def _suite() -> str:
    source = (Path(_setting("Dir::Etc::sourceparts")) / "debian.sources").read_text()
    found = re.search(r"^Suites: (\S+)$", source, re.MULTILINE)
    assert found and re.search(r"^Signed-By: \S", source, re.MULTILINE), source
    return found[1]


def _update(fake: Path) -> int:
    if (fake / f"candidate-{_suite()}").exists():
        return 0
    print(
        f"E: The repository '{_suite()} Release' does not have a Release file.",
        file=sys.stderr,
    )
    return 100


def _print_candidate(fake: Path) -> None:
    version = (fake / f"candidate-{_suite()}").read_text()
    if version:
        print(f"bazel-bootstrap:\n  Installed: (none)\n  Candidate: {version}")


def _wanted(fake: Path) -> list[Path]:
    installed = re.findall(
        r"^Package: (\S+)$",
        Path(_setting("Dir::State::status")).read_text(),
        re.MULTILINE,
    )
    packages = sorted((fake / "archive").glob("*.deb"))
    return [path for path in packages if path.name.partition("_")[0] not in installed]


def _print_uris(fake: Path) -> None:
    for path in _wanted(fake):
        size = path.stat().st_size
        print(f"'http://mirror.example/pool/{path.name}' {path.name} {size} MD5Sum:0")


def _download(fake: Path) -> None:
    target = Path(_setting("Dir::Cache")) / "archives"
    todo = [path for path in _wanted(fake) if not (target / path.name).exists()]
    half = len(todo) // 2
    for path in todo[:half]:
        _fetch(fake, path, target)
    if (fake / "release").exists():
        (fake / "downloading").write_bytes(b"begun")
        # Unbuffered, so as to leave the bytes for other downloads where they are.
        with (fake / "release").open("rb", buffering=0) as release:
            release.read(1)
    for path in todo[half:]:
        _fetch(fake, path, target)


def _fetch(fake: Path, path: Path, target: Path) -> None:
    shutil.copy(path, target / "partial" / path.name)
    (target / "partial" / path.name).rename(target / path.name)
    with (fake / "calls").open("a") as calls:
        calls.write(f"fetch {path.name}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
