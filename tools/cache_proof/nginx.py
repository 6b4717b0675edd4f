"""A real HTTP cache for Bazel: nginx with WebDAV, on loopback, for as long as it is needed.

Bazel's HTTP protocol is GET and PUT of `/ac/<hash>` (results of actions) and `/cas/<hash>` (contents).
nginx is the machine's, or is unpacked from the distribution's package into a folder of the caller's,
which needs no root and installs nothing. It runs as a child of this process, in the foreground.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iris.host.ports import LOOPBACK, PortAllocator
from iris.model.errors import Unavailable

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02
_DOWNLOAD_SECONDS = 120.0
_SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin"
_INSTALL = "Install it (Debian: apt-get install nginx), or name it with --nginx=/path/to/nginx."

_CONFIGURATION = """\
daemon off;
{user}worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    log_format short '$request_method $status';
    access_log {folder}/access.log short;
    client_max_body_size 0;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    server {{
        listen {address};
        root {folder}/cache;
        location / {{
            dav_methods PUT;
            create_full_put_path on;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was asked of the cache: entries read, entries that were not there, entries written."""

    found: int
    missing: int
    written: int


class Nginx:
    """A running one, from `running_nginx`."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self._access_log = folder / "access.log"

    def traffic(self) -> Traffic:
        """Of its whole life so far."""
        return read_traffic(self._access_log.read_text(encoding="utf-8"))


def read_traffic(text: str) -> Traffic:
    """Counts the lines of an access log, each a method and a status."""
    counts = Counter(text.splitlines())
    written = counts["PUT 201"] + counts["PUT 204"]
    return Traffic(counts["GET 200"], counts["GET 404"], written)


def find_nginx(named: str | None, folder: Path) -> Path:
    """The program: the one that was named, the machine's, or one unpacked into `folder`.

    Raises:
        Unavailable: there is none.
    """
    if named:
        if not os.access(named, os.X_OK):
            raise Unavailable(f"{named} is no program.", hint=_INSTALL)
        return Path(named)
    if found := shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{_SYSTEM_FOLDERS}"):
        return Path(found)
    return _unpack(folder)


def _unpack(folder: Path) -> Path:
    """From Debian's package, without installing it. Its libraries are ones that Debian always has."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Unavailable("There is no nginx, and no apt-get to fetch it.", hint=_INSTALL)
    folder.mkdir(parents=True)
    # Root's apt would change its user to one that may not write here.
    _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "nginx"], folder)
    for package in folder.glob("nginx_*.deb"):
        _run(["dpkg-deb", "-x", str(package), "unpacked"], folder)
    program = folder / "unpacked/usr/sbin/nginx"
    _run([str(program), "-v"], folder)
    return program


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DOWNLOAD_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]} cannot be run: {error}", hint=_INSTALL) from error
    if done.returncode:
        raise Unavailable(
            f"`{' '.join(command)}` failed: {done.stderr.strip()[-300:]}",
            hint=f"Without an index of packages: apt-get update. {_INSTALL}",
        )


def configuration(folder: Path, address: str, user: str | None) -> str:
    """nginx.conf. `user`, where this process is root: who its worker is, that has to write here."""
    line = f"user {user} {user};\n" if user else ""
    return _CONFIGURATION.format(folder=folder, address=address, user=line)


@contextlib.contextmanager
def running_nginx(program: Path, folder: Path) -> Iterator[Nginx]:
    """Starts it on a free port with an empty cache in `folder`, which it makes; ends it afterwards.

    Raises:
        Unavailable: it does not start, or cannot store anything.
    """
    (folder / "cache").mkdir(parents=True)
    (folder / "temporary").mkdir()
    ports = PortAllocator()
    with contextlib.closing(ports):
        address = f"{LOOPBACK}:{ports.lease('nginx').hand_over()}"
        user = pwd.getpwuid(0).pw_name if os.getuid() == 0 else None
        text = configuration(folder, address, user)
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        command = [
            *(str(program), "-e", f"{folder}/error.log"),
            *("-p", str(folder), "-c", f"{folder}/nginx.conf"),
        ]
        with (folder / "output.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            url = f"http://{address}"
            _wait_until_it_stores(process, url, folder)
            (folder / "access.log").write_bytes(
                b""
            )  # nginx appends: our own questions are forgotten
            yield Nginx(url, folder)
        finally:
            _end(process)


def _wait_until_it_stores(process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            put = urllib.request.Request(f"{url}/probe/1", data=b"stored", method="PUT")
            with urllib.request.urlopen(put, timeout=_START_SECONDS):
                pass
            with urllib.request.urlopen(f"{url}/probe/1", timeout=_START_SECONDS) as answer:
                if answer.read() == b"stored":
                    return
            problem = "it gives back what was not put in"
        except urllib.error.HTTPError as error:
            problem = f"it answers {error.code} to {error.url}: is it built without WebDAV?"
        except OSError as error:
            problem = str(error)
            if process.poll() is None and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
        told = (folder / "output.log").read_text(errors="replace").strip()[-300:]
        raise Unavailable(f"nginx does not work as a cache: {problem} {told}", hint=_INSTALL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
