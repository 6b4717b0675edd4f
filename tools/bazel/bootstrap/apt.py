"""A private apt: fetches packages of another Debian suite without touching the system or being root.

Everything apt reads or writes lies in one folder: its sources, its index, its downloads, and a
made-up list of installed packages. That list calls the heavy packages that Bazel's package names
but does not need here "installed", so that apt's own resolver leaves them out. Of the machine's apt
configuration only what is needed to reach the mirror (proxies, certificates, credentials) is taken
over; its hooks, which may change the system, are not. Signatures are always checked.
"""

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.bazel.bootstrap.commands import Commands
from tools.bazel.bootstrap.errors import BootstrapError
from tools.bazel.bootstrap.sources import Archive

_INDEX_SECONDS = 300.0
_PLAN_SECONDS = 120.0
_DOWNLOAD_SECONDS = 3600.0

_TAKEN_OVER = (
    "Acquire::http",
    "Acquire::Check-",
    "Acquire::ForceIPv",
    "Acquire::socks",
)
"""How the machine reaches its mirror; `Acquire::http` is a prefix of `Acquire::https` too."""

_LEFT_OUT = (
    # A compiler, headers and a JDK (350 MB) are for building Bazel or Java and C++ programs.
    "build-essential",
    "default-jdk-headless",
    "*-jdk-headless",
    "*-dev",
    "*-dev-bin",
    # The machine's own programs are used for what these would do.
    "debconf",
    "openssl",
    "perl",
    "python3",
    "unzip",
    # Only the web pages of Java libraries' documentation and their tests need these.
    "javascript-common",
    "junit4",
    "libjs-*",
    "node-*",
    # Their installation scripts would be run by dpkg, which nothing here does.
    "ca-certificates",
    "ca-certificates-java",
    "java-common",
)

_STANZA = """\
Package: {name}
Status: install ok installed
Priority: optional
Section: misc
Maintainer: Iris
Architecture: {architecture}
Multi-Arch: foreign
Version: 999:9999
Description: not needed here

"""


@dataclass(frozen=True, slots=True)
class Package:
    """One package file to be downloaded."""

    file_name: str
    size: int
    """In bytes."""

    @property
    def name(self) -> str:
        return self.file_name.partition("_")[0]


class PrivateApt:
    """apt with all its state in one folder. Not safe for two at once: the caller holds a lock."""

    def __init__(self, folder: Path, commands: Commands, architecture: str) -> None:
        self._folder = folder
        self._architecture = architecture
        self._commands = Commands(
            commands.log,
            commands.inherited_descriptors,
            {**commands.environment, "APT_CONFIG": str(folder / "apt.conf")},
        )
        self.downloads = folder / "cache" / "archives"
        """Where `download` leaves the package files."""
        for part in ("sources", "empty", "lists/partial", "state", "plan/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (self.downloads / "partial").mkdir(parents=True, exist_ok=True)
        machine = commands.run(["apt-config", "dump"], deadline_seconds=_PLAN_SECONDS)
        (folder / "apt.conf").write_text(self._configuration(machine), encoding="utf-8")
        self._leave_out(set())

    def update(self, archive: Archive, suite: str) -> None:
        """Makes `suite` of `archive` the only source, and fetches its signed index."""
        text = (
            f"Types: deb\nURIs: {archive.uri}\nSuites: {suite}\nComponents: main\n"
            f"Architectures: {self._architecture}\nSigned-By: {archive.signed_by}\n"
        )
        (self._folder / "sources" / "debian.sources").write_text(text, encoding="utf-8")
        self._commands.run(["apt-get", "-q", "update"], deadline_seconds=_INDEX_SECONDS)

    def candidate(self, package: str) -> str | None:
        """The version of `package` that the index offers, or None."""
        output = self._commands.run(
            ["apt-cache", "policy", package], deadline_seconds=_PLAN_SECONDS
        )
        found = re.search(r"^\s*Candidate: (\S+)$", output, re.MULTILINE)
        return found[1] if found and found[1] != "(none)" else None

    def plan(self, packages: list[str]) -> list[Package]:
        """All package files that `packages` need, without those that are left out."""
        # A pattern leaves out what the first plan shows; what only those needed goes with them.
        names = {name for name in _LEFT_OUT if "*" not in name}
        self._leave_out(names)
        first = {package.name for package in self._plan_once(packages)}
        self._leave_out(
            names | {name for name in first for left in _LEFT_OUT if fnmatch.fnmatch(name, left)}
        )
        return self._plan_once(packages)

    def download(
        self, packages: list[str], planned: list[Package], on_wait: Callable[[], None]
    ) -> list[Path]:
        """Fetches what `plan` said; files that are already there and whole are kept.

        Returns:
            The package files, checked by apt against the signed index.
        """
        self._commands.run(
            ["apt-get", "-q", "-y", "--download-only", "install", *packages],
            deadline_seconds=_DOWNLOAD_SECONDS,
            on_wait=on_wait,
        )
        files = [self.downloads / package.file_name for package in planned]
        missing = [path.name for path in files if not path.is_file()]
        if missing:
            raise BootstrapError(f"apt downloaded all but {', '.join(missing[:5])}; try again")
        return files

    def downloaded_bytes(self) -> int:
        """How much lies in the download folder, half-way files included."""
        total = 0
        for path in self.downloads.rglob("*.deb"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:
                continue  # apt has just moved it from `partial` to its place
        return total

    def _plan_once(self, packages: list[str]) -> list[Package]:
        # An empty download folder: what is already downloaded belongs to the plan too.
        output = self._commands.run(
            [
                *("apt-get", "-q", "-y", "--print-uris"),
                *("-o", f"Dir::Cache::archives={self._folder}/plan/"),
                *("install", *packages),
            ],
            deadline_seconds=_PLAN_SECONDS,
        )
        lines = re.findall(r"^'\S+' (\S+\.deb) (\d+) ", output, re.MULTILINE)
        if not lines:
            raise BootstrapError(f"apt has nothing to download for {' '.join(packages)}")
        return [Package(file_name, int(size)) for file_name, size in lines]

    def _leave_out(self, names: set[str]) -> None:
        stanzas = [
            _STANZA.format(name=name, architecture=self._architecture) for name in sorted(names)
        ]
        (self._folder / "state" / "status").write_text("".join(stanzas), encoding="utf-8")

    def _configuration(self, machine: str) -> str:
        taken_over = [line for line in machine.splitlines() if line.startswith(_TAKEN_OVER)]
        folder = self._folder
        own = {
            "APT::Architecture": self._architecture,
            "APT::Architectures": self._architecture,
            "APT::Get::AllowUnauthenticated": "false",
            "APT::Install-Recommends": "false",
            # Without root apt cannot change its user, with root the folder is not `_apt`'s.
            "APT::Sandbox::User": "",
            "APT::Update::Error-Mode": "any",
            "Acquire::AllowInsecureRepositories": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Acquire::http::Timeout": "30",
            "Acquire::https::Timeout": "30",
            "Dir::Cache": f"{folder}/cache",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": f"{folder}/empty",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": f"{folder}/empty",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": f"{folder}/sources",
            "Dir::Log": f"{folder}/log",
            "Dir::State": f"{folder}/state",
            "Dir::State::lists": f"{folder}/lists",
            "Dir::State::status": f"{folder}/state/status",
        }
        lines = [*taken_over, *(f'{name} "{value}";' for name, value in own.items())]
        return "\n".join(lines) + "\n"
