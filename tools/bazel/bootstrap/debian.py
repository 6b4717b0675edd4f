"""Makes a Bazel out of Debian's packages, in one folder, on a machine that reaches little else.

The steps and what makes each safe to be killed in:

1. A lock, held until the last program started here has ended. Two starts at once do the work once.
2. The index and the packages are downloaded into a folder that stays until all is done; apt goes on
   where it stopped, and checks every file against the signed index.
3. Packages are unpacked and relocated under a temporary name; the folder gets its own name when it
   is complete.
4. That Bazel is asked for its version, which runs everything that can be missing.
5. The rc file is written, again by rename. It is what `bazelw` looks for, so it comes last.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tools.bazel.bootstrap import relocate, truststore
from tools.bazel.bootstrap.apt import Package, PrivateApt
from tools.bazel.bootstrap.bazelrc import machine_bazelrc
from tools.bazel.bootstrap.commands import Commands
from tools.bazel.bootstrap.errors import BootstrapError
from tools.bazel.bootstrap.sources import Archive, debian_archives, read_sources

MIRROR_VARIABLE = "IRIS_DEBIAN_MIRROR"
"""Names a Debian archive to use instead of the ones in the machine's apt sources."""

_SUITES = ("forky", "sid")
"""Debian's first release with a current Bazel, and the development suite that precedes it."""

_BAZEL = "bazel-bootstrap"
_PACKAGES = [_BAZEL, "default-jre-headless", "patchelf"]
_TOOLS = ("apt-cache", "apt-config", "apt-get", "dpkg", "dpkg-deb")

_DISK_BYTES = 1_000_000_000
"""Downloads (200 MB), index (60 MB) and the unpacked tree (480 MB), with room to spare."""

_LOCK_SECONDS = 3600
_UNPACK_SECONDS = 300.0
_VERIFY_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What of the machine the route reads; tests put their own in its place."""

    apt_folder: Path = Path("/etc/apt")
    keyrings: tuple[Path, ...] = (
        Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
        Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
    )
    certificates: Path = truststore.BUNDLE


@dataclass(frozen=True, slots=True)
class Installation:
    """Where one Bazel lies and what lies beside it."""

    root: Path
    version: str
    """The version that the project asks for."""

    def beside(self, suffix: str) -> Path:
        return self.root.with_name(self.root.name + suffix)

    @property
    def bazelrc(self) -> Path:
        """Exists only when everything is complete."""
        return self.beside(".bazelrc")

    @property
    def is_complete(self) -> bool:
        return self.bazelrc.is_file() and os.access(self.root / "usr/bin/bazel", os.X_OK)


def install(wanted: Installation, machine: Machine, say: Callable[[str], None]) -> None:
    """Makes `wanted` complete; returns at once if it already is.

    Args:
        wanted: What to make. Its folder is created with everything above it.
        machine: Where the machine's configuration is.
        say: Takes one line of progress.

    Raises:
        BootstrapError: It cannot be done on this machine, or not now.
    """
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise BootstrapError(f"not a Debian-family machine: no {', '.join(missing)}")
    if re.search(r"[:\n]", str(wanted.root)):
        raise BootstrapError(
            f"the cache folder {wanted.root.parent} has a ':' in its name, which library and class "
            "paths cannot hold; set XDG_CACHE_HOME to another folder"
        )
    try:
        wanted.root.parent.mkdir(parents=True, exist_ok=True)
        with _lock(wanted.beside(".lock"), say) as lock:
            if not wanted.is_complete:
                _make(wanted, machine, lock, say)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise BootstrapError(f"{error.strerror}{place}; kept what is downloaded") from error


@contextlib.contextmanager
def _lock(path: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Holds an exclusive lock; yields its descriptor, to be inherited by programs."""

    def on_alarm(_signal: int, _frame: FrameType | None) -> None:
        raise BootstrapError(f"another bazelw held {path} for {_LOCK_SECONDS} s; is it stuck?")

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another bazelw is preparing the same Bazel; waiting for it")
            previous = signal.signal(signal.SIGALRM, on_alarm)
            signal.alarm(_LOCK_SECONDS)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            finally:
                signal.alarm(0)
                signal.signal(signal.SIGALRM, previous)
        yield descriptor
    finally:
        os.close(descriptor)


def _make(wanted: Installation, machine: Machine, lock: int, say: Callable[[str], None]) -> None:
    # Without the rc file a folder was never proved to work; without its program it is broken.
    wanted.bazelrc.unlink(missing_ok=True)
    _require_space(wanted)
    say(f"making Bazel {wanted.version} out of Debian's packages, once, in {wanted.root}")
    commands = Commands(wanted.beside(".log"), (lock,))
    commands.log.unlink(missing_ok=True)
    downloads = wanted.beside(".downloads")
    if not os.access(wanted.root / "usr/bin/bazel", os.X_OK):
        _build_tree(wanted, machine, downloads, commands, say)
    say("[5/5] starting that Bazel once")
    _verify_and_publish(wanted, commands)
    shutil.rmtree(downloads, ignore_errors=True)
    say("Bazel is ready")


def _require_space(wanted: Installation) -> None:
    free = shutil.disk_usage(wanted.root.parent).free
    if free < _DISK_BYTES:
        raise BootstrapError(
            f"{wanted.root.parent} has {free // 1_000_000} MB free, "
            f"{_DISK_BYTES // 1_000_000} MB are needed; make room or set XDG_CACHE_HOME"
        )


def _build_tree(
    wanted: Installation,
    machine: Machine,
    downloads: Path,
    commands: Commands,
    say: Callable[[str], None],
) -> None:
    architecture = commands.run(
        ["dpkg", "--print-architecture"], deadline_seconds=_UNPACK_SECONDS
    ).strip()
    apt = PrivateApt(downloads, commands, architecture)
    _choose_suite(apt, _archives(machine), wanted, architecture, say)

    planned = apt.plan(_PACKAGES)
    total = sum(package.size for package in planned)
    here = apt.downloaded_bytes()
    kept = f" ({_megabytes(here)} MB are here from an earlier start)" if here else ""
    say(f"[2/5] downloading {len(planned)} packages, {_megabytes(total)} MB{kept}")
    files = _download(apt, planned, total, say)

    tree = wanted.beside(".unpacking")
    say("[3/5] unpacking them")
    for leftover in (tree, wanted.root):
        if leftover.exists():
            shutil.rmtree(leftover)
    tree.mkdir()
    _unpack(files, tree, commands)

    say("[4/5] making it independent of the machine's own libraries")
    relocate.relocate(tree, wanted.root, commands)
    truststore.write_store(tree, machine.certificates)
    tree.rename(wanted.root)


def _archives(machine: Machine) -> list[Archive]:
    keyrings = [path for path in machine.keyrings if path.is_file()]
    if mirror := os.environ.get(MIRROR_VARIABLE):
        archives = [Archive(mirror, str(path)) for path in keyrings]
    else:
        archives = debian_archives(read_sources(machine.apt_folder), keyrings)
    if archives:
        return archives
    if not keyrings:
        raise BootstrapError(
            f"no keyring of Debian's archive is installed ({machine.keyrings[0]}), so its packages "
            "cannot be checked; install the package debian-archive-keyring"
        )
    raise BootstrapError(
        f"the apt sources in {machine.apt_folder} name no archive; "
        f"set {MIRROR_VARIABLE} to the address of a Debian mirror"
    )


def _choose_suite(
    apt: PrivateApt,
    archives: list[Archive],
    wanted: Installation,
    architecture: str,
    say: Callable[[str], None],
) -> None:
    """Leaves apt with the first suite that offers a Bazel of the wanted major version."""
    refusals = []
    for archive in archives:
        for suite in _SUITES:
            say(f"[1/5] reading the index of Debian {suite} from {archive.uri}")
            try:
                apt.update(archive, suite)
            except BootstrapError as error:
                refusals.append(f"{suite} of {archive.uri}: {error}")
                continue
            offered = apt.candidate(_BAZEL)
            if offered is None:
                refusals.append(
                    f"{suite} of {archive.uri} has no {_BAZEL} for architecture {architecture}"
                )
            elif _major(offered) != _major(wanted.version):
                refusals.append(f"{suite} of {archive.uri} has Bazel {upstream_version(offered)}")
            else:
                if (upstream := upstream_version(offered)) != wanted.version:
                    say(
                        f"WARNING: Debian {suite} has Bazel {upstream}, the project wants "
                        f"{wanted.version}; builds may differ"
                    )
                return
    reasons = "\n      ".join(refusals)
    raise BootstrapError(
        f"no Debian archive within reach offers Bazel {_major(wanted.version)}; if there is one, "
        f"name it in {MIRROR_VARIABLE}\n      {reasons}"
    )


def upstream_version(debian_version: str) -> str:
    """`7.7.1+ds-8+b1` is `7.7.1`: without epoch, repackaging mark and Debian's own revision."""
    return re.sub(r"[+~-].*$", "", debian_version.rpartition(":")[2])


def _major(version: str) -> str:
    return upstream_version(version).partition(".")[0]


def _megabytes(size: int) -> int:
    return round(size / 1_000_000)


def _download(
    apt: PrivateApt, planned: list[Package], total: int, say: Callable[[str], None]
) -> list[Path]:
    def on_wait() -> None:
        say(f"      {_megabytes(apt.downloaded_bytes())} of {_megabytes(total)} MB")

    return apt.download(_PACKAGES, planned, on_wait)


def _unpack(files: list[Path], tree: Path, commands: Commands) -> None:
    def unpack(file: Path) -> None:
        commands.run(["dpkg-deb", "-x", file, tree], deadline_seconds=_UNPACK_SECONDS)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for _ in pool.map(unpack, files):
            pass  # only to raise what a thread raised


def _verify_and_publish(wanted: Installation, commands: Commands) -> None:
    """Runs the new Bazel's client and server in a scratch folder, then writes the rc file."""
    scratch = wanted.beside(".scratch")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    rc = scratch / "machine.bazelrc"
    rc.write_text(machine_bazelrc(wanted.root, relocate.java_home(wanted.root)), encoding="utf-8")
    (scratch / "MODULE.bazel").touch()
    try:
        output = commands.run(
            [
                *(wanted.root / "usr/bin/bazel", "--nosystem_rc", "--nohome_rc"),
                *(
                    f"--bazelrc={rc}",
                    "--batch",
                    f"--output_user_root={scratch}/output",
                    "version",
                ),
            ],
            deadline_seconds=_VERIFY_SECONDS,
            directory=scratch,
        )
        label = (wanted.root / relocate.BUILD_LABEL).read_text(encoding="utf-8").strip()
        if f"Build label: {label}" not in output.splitlines():
            raise BootstrapError(f"the Bazel made from Debian's packages reports {output!r}")
    except BootstrapError:
        # It would fail the same way next time; the packages are kept and the tree made anew.
        shutil.rmtree(wanted.root, ignore_errors=True)
        raise
    rc.rename(wanted.bazelrc)
    _remove_scratch(scratch)


def _remove_scratch(scratch: Path) -> None:
    """Bazel makes some of its folders read-only, which only root can delete from."""
    for folder, _, _ in os.walk(scratch):
        os.chmod(folder, 0o700)
    shutil.rmtree(scratch, ignore_errors=True)
