"""Real SSH servers on this machine, each a host of its own as far as files and names go: own host key,
own home, own port on 127.0.0.1.

They share this machine's processes and network.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from iris.host.processes import ProcessIdentity, descendants, end_processes

SSHD = Path("/usr/sbin/sshd")
_PRIVILEGE_SEPARATION = Path("/run/sshd")  # sshd wants it when it runs as root
_UP_SECONDS = 10.0
_PORT_TRIES = 20

# sshd_config(5). Keys lie below a folder that others may write to (/tmp): StrictModes would refuse.
_CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
MaxSessions 100
MaxStartups 100:30:200
LogLevel VERBOSE
SetEnv HOME={folder}/home
{more}
"""


def ssh_is_here() -> bool:
    """Whether this machine has what the hosts need."""
    return SSHD.exists() and all(map(shutil.which, ("ssh", "ssh-keygen")))


@dataclass(slots=True)
class SshHost:
    """One server. Its name is an alias in the configuration file that SshHosts writes."""

    name: str
    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def home(self) -> Path:
        """Of whoever logs in."""
        return self.folder / "home"

    @property
    def log(self) -> str:
        """What the server wrote."""
        path = self.folder / "sshd.log"
        return path.read_text(errors="replace") if path.exists() else ""


class SshHosts:
    """Several of them, and the files with which a user reaches them. Use it in `with`.

    Attributes:
        config_file: Of ssh: the hosts' names, ports and the user's key.
    """

    def __init__(
        self, folder: Path, count: int, *, server_options: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.hosts = [SshHost(f"host{index}", folder / f"h{index}") for index in range(count)]
        self.config_file = folder / "ssh_config"
        self.known_hosts_file = folder / "known_hosts"
        self.identity_file = folder / "id"
        self._more = "\n".join(f"{name} {value}" for name, value in (server_options or {}).items())

    def __enter__(self) -> Self:
        try:
            self._set_up()
            for host in self.hosts:
                self.start(host)
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_all()

    @property
    def names(self) -> list[str]:
        """Of the hosts, for a configuration."""
        return [host.name for host in self.hosts]

    def start(self, host: SshHost) -> None:
        """Starts its server, on the port that it had before, and waits until it answers."""
        _ensure_privilege_separation_folder()
        for _ in range(_PORT_TRIES):
            port = host.port or _free_port()
            config = host.folder / "sshd_config"
            config.write_text(
                _CONFIG.format(port=port, address="127.0.0.1", folder=host.folder, more=self._more)
            )
            host.process = subprocess.Popen(
                [SSHD, "-D", "-f", config, "-E", host.folder / "sshd.log"],
                stdin=subprocess.DEVNULL,
                env={"PATH": os.defpath},
            )
            if _answers(port, host.process):
                host.port = port
                self._write_client_files()
                return
            self.stop(host)
        raise AssertionError(f"the server of {host.name} does not come up: {host.log}")

    def stop(self, host: SshHost) -> None:
        """Ends its server and all sessions, as if the machine's sshd had crashed. What detached itself from its
        session goes on. Idempotent.
        """
        process, host.process = host.process, None
        if process is None:
            return
        identity = ProcessIdentity.of(process.pid)
        if identity is not None:
            end_processes((identity, *descendants(identity)), grace=0, deadline=5)
        process.wait(5)

    def stop_all(self) -> None:
        """All of them."""
        for host in self.hosts:
            self.stop(host)

    def forget_key(self, host: SshHost) -> None:
        """The user does not know the host's key any more."""
        self._write_client_files(unknown=host)

    def remember_keys(self) -> None:
        """The user knows all hosts' keys again."""
        self._write_client_files()

    def _set_up(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        make_key(self.identity_file)
        for host in self.hosts:
            host.home.mkdir(parents=True)
            make_key(host.folder / "host_key")
            shutil.copy(self.identity_file.with_suffix(".pub"), host.folder / "authorized_keys")

    def _write_client_files(self, unknown: SshHost | None = None) -> None:
        known, config = [], []
        for host in self.hosts:
            if not host.port:
                continue
            key = " ".join((host.folder / "host_key.pub").read_text().split()[:2])
            if host is not unknown:
                known.append(f"[127.0.0.1]:{host.port} {key}\n")
            config.append(f"Host {host.name}\n  Hostname 127.0.0.1\n  Port {host.port}\n")
        config.append(
            f"Host *\n  IdentityFile {self.identity_file}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.known_hosts_file}\n  GlobalKnownHostsFile /dev/null\n"
            # The quickest of the safe ones: a connection costs 135 ms instead of 214.
            "  KexAlgorithms curve25519-sha256\n"
        )
        self.known_hosts_file.write_text("".join(known))
        self.config_file.write_text("".join(config))


def make_key(path: Path) -> None:
    """A key pair without a passphrase, at `path` and `path`.pub."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path], check=True
    )


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Whether a server says hello there, and has not ended (its port was taken)."""
    until = time.monotonic() + _UP_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=_UP_SECONDS) as connection:
                return connection.recv(4) == b"SSH-" and process.poll() is None
        except OSError:
            time.sleep(0.005)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ensure_privilege_separation_folder() -> None:
    if os.geteuid() == 0:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
