"""What keeps this process apart from the machine around it, found out by trying.

Nothing here is taken from what was asked for (flags, tags): the kernel is asked what this process can
do. No question leaves a trace: no packet is sent and no file is made.
"""

import errno
import os
import pwd
import socket
from dataclasses import dataclass
from pathlib import Path

LINUX_SANDBOX = "linux-sandbox"
PROCESSWRAPPER_SANDBOX = "processwrapper-sandbox"

# Addresses for documentation (RFC 5737, RFC 3849), which no machine has.
FOREIGN_ADDRESSES = ("192.0.2.1", "2001:db8::1")
# Where programs write if they may: of the system, of everybody, and of the machine's memory.
_FOLDERS = ("/", "/etc", "/usr", "/var/tmp", "/run", "/dev/shm", "/tmp")


@dataclass(frozen=True, slots=True)
class Isolation:
    """What was found.

    Attributes:
        sandbox: Bazel's strategy as far as it can be seen; empty when there is none.
        interfaces: Network interfaces, sorted; only `lo` in a network namespace of one's own.
        reachable: Which of FOREIGN_ADDRESSES there is a route to.
        home: The caller's home folder, from the user database, not from HOME.
        home_entries: Names in it whose contents this process can read.
        writable: Well-known folders outside its own in which it can make files.
    """

    sandbox: str
    interfaces: tuple[str, ...]
    reachable: tuple[str, ...]
    home: Path
    home_entries: tuple[str, ...]
    writable: tuple[str, ...]

    @property
    def has_own_network(self) -> bool:
        """Whether nothing but this process's own loopback can be reached."""
        return self.interfaces == ("lo",) and not self.reachable


def look_around() -> Isolation:
    """Finds it out, now, for the process that asks."""
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    return Isolation(
        sandbox=seen_sandbox(),
        interfaces=interfaces(),
        reachable=tuple(address for address in FOREIGN_ADDRESSES if not route_error(address)),
        home=home,
        home_entries=readable_entries(home),
        writable=tuple(name for name in (*_FOLDERS, str(home)) if os.access(name, os.W_OK)),
    )


def seen_sandbox() -> str:
    """Which of Bazel's sandboxes this process is in; empty if in none that can be seen."""
    # linux-sandbox gives an action a PID namespace, in which it is the first process.
    if b"linux-sandbox" in Path("/proc/1/cmdline").read_bytes():
        return LINUX_SANDBOX
    if "/sandbox/" in os.getcwd() and "TEST_SRCDIR" in os.environ:
        return PROCESSWRAPPER_SANDBOX
    return ""


def interfaces() -> tuple[str, ...]:
    """The network interfaces that this process can see."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    return tuple(sorted(line.split(":")[0].strip() for line in lines))


def route_error(address: str) -> str:
    """Why there is no way to an address, in the kernel's words; empty if there is one.

    Connecting a datagram socket looks for a route and sends nothing.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((address, 9))
    except OSError as error:
        return os.strerror(error.errno or errno.ENETUNREACH)
    return ""


def readable_entries(folder: Path) -> tuple[str, ...]:
    """Names in a folder behind which there is something to read; none if it cannot be listed."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return ()
    return tuple(name for name in names if _has_something_to_read(folder / name))


def _has_something_to_read(path: Path) -> bool:
    # A sandbox that hides a path puts an empty folder or file in its place.
    try:
        if path.is_dir():
            return any(path.iterdir())
        if path.is_file():
            with path.open("rb") as opened:
                return bool(opened.read(1))
    except OSError:
        pass
    return False
