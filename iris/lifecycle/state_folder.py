"""The folder in which a cluster on this machine keeps what outlives its controller's process, and
how others find it there.

| file              | what                                                                        |
|-------------------|-----------------------------------------------------------------------------|
| token             | the cluster's credential; readable by its owner only                        |
| controller.json   | address and process of the controller that runs; absent while none does     |
| controller.lock   | held by the controller as long as its process lives; says which one it is    |
| reload.lock       | held while somebody reloads it; reload.json and reload.answer are there then |
| config.yaml       | what it runs with, defaults filled in                                       |
| startup.log       | what it wrote while it started; later also what libraries write by themselves
| | controller.log    | what it wrote since
| | bundles/ cache/   | unless the configuration puts them elsewhere
| | leases/ tmp/      | ports that are taken; the controller's temporary files
| | backups/          | copies of the database that somebody asked for
|
"""

import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from iris_proto import config_pb2

from iris.host.files import FileLock, atomic_write
from iris.host.processes import ProcessIdentity
from iris.model.errors import FailedPrecondition
from iris.model.resources import Resources

_TOKEN_BYTES = 32
_ENOUGH = Resources(1 << 62, 1 << 62, 1 << 62)


@dataclass(frozen=True, slots=True)
class ControllerRecord:
    """A controller as it published itself once it served.

    Attributes:
        address: `host:port`.
        incarnation: Of this start of it; its Health answer says the same.
    """

    address: str
    process: ProcessIdentity
    cluster: str
    incarnation: str

    def to_json(self) -> bytes:
        """The content of controller.json."""
        fields = {
            "address": self.address,
            "pid": self.process.pid,
            "start_time": self.process.start_time,
            "cluster": self.cluster,
            "incarnation": self.incarnation,
        }
        return json.dumps(fields, indent=2).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> "ControllerRecord":
        """Raises ValueError, KeyError or TypeError for anything else."""
        fields = json.loads(data)
        return cls(
            str(fields["address"]),
            ProcessIdentity(int(fields["pid"]), int(fields["start_time"])),
            str(fields["cluster"]),
            str(fields["incarnation"]),
        )


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths in one cluster's folder, and their contents. Any process may read; only the holder of
    the lock writes.
    """

    path: Path

    @property
    def token_file(self) -> Path:
        """See the module."""
        return self.path / "token"

    @property
    def record_file(self) -> Path:
        """See the module."""
        return self.path / "controller.json"

    @property
    def lock_file(self) -> Path:
        """See the module."""
        return self.path / "controller.lock"

    @property
    def config_file(self) -> Path:
        """See the module."""
        return self.path / "config.yaml"

    @property
    def startup_log(self) -> Path:
        """See the module."""
        return self.path / "startup.log"

    @property
    def controller_log(self) -> Path:
        """See the module."""
        return self.path / "controller.log"

    @property
    def leases(self) -> Path:
        """See the module."""
        return self.path / "leases"

    @property
    def temporary(self) -> Path:
        """See the module."""
        return self.path / "tmp"

    def read_record(self) -> ControllerRecord | None:
        """What the running, or last, controller published; None if there is nothing, or nothing
        that makes sense.
        """
        try:
            return ControllerRecord.from_json(self.record_file.read_bytes())
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def running(self) -> ControllerRecord | None:
        """The same, if that very process still runs: what a dead one left behind does not count."""
        record = self.read_record()
        return record if record is not None and record.process.is_alive() else None

    def lock_holder(self) -> ProcessIdentity | None:
        """Who noted itself in the lock's file last, if it runs; it need not serve yet."""
        try:
            pid, start_time = self.lock_file.read_text().split()
            holder = ProcessIdentity(int(pid), int(start_time))
        except (OSError, ValueError):
            return None
        return holder if holder.is_alive() else None

    def is_locked(self) -> bool:
        """Whether some process holds the lock right now."""
        if not self.lock_file.exists():
            return False
        lock = FileLock(self.lock_file)
        free = lock.acquire()
        lock.let_go()
        return not free

    def read_config(self) -> config_pb2.ClusterConfig:
        """What the running, or last, controller was started with. Raises InvalidArgument where
        there is nothing of the kind.

        It was checked when it was used; whether this machine could still lend as much does not
        matter any more.
        """
        from iris.config import load_config

        return load_config(self.config_file, machine=lambda: _ENOUGH)

    def ensure_token(self) -> str:
        """The cluster's token; the first call makes it. Only under the lock."""
        if not self.token_file.exists():
            token = secrets.token_urlsafe(_TOKEN_BYTES)
            atomic_write(self.token_file, token.encode() + b"\n", mode=0o600)
        return self.read_token()

    def read_token(self) -> str:
        """The cluster's token. Raises FailedPrecondition where there is none, or where others could
        have read it.
        """
        remedy = f"Remove {self.token_file} while the cluster is stopped; the next start makes one."
        try:
            with self.token_file.open() as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                token = file.read().strip()
        except OSError as error:
            raise FailedPrecondition(
                f"The token {self.token_file} cannot be read: {error.strerror}.",
                hint="Was the cluster ever started, and by this user?",
            ) from error
        if mode & 0o077:
            raise FailedPrecondition(
                f"The token {self.token_file} may be read by others (mode {mode:o}).", hint=remedy
            )
        if not token:
            raise FailedPrecondition(f"The token {self.token_file} is empty.", hint=remedy)
        return token


def note_holder(lock: FileLock, holder: ProcessIdentity) -> None:
    """Writes into the lock's file who has it, as `StateFolder.lock_holder` reads it."""
    lock.note(f"{holder.pid} {holder.start_time}\n")


def state_root(environment: Mapping[str, str]) -> Path:
    """The folder with the state of every cluster that was not put elsewhere. Raises
    FailedPrecondition without a home.
    """
    base = environment.get("XDG_STATE_HOME", "")
    # The XDG specification: a relative path is invalid and to be ignored.
    if base.startswith("/"):
        return Path(base) / "iris"
    try:
        home = Path(environment["HOME"]) if environment.get("HOME") else Path.home()
    except RuntimeError as error:
        raise FailedPrecondition(
            "There is no home folder to keep the cluster's state in.",
            hint="Set HOME or XDG_STATE_HOME, or controller_vm.local.state_dir.",
        ) from error
    return home / ".local" / "state" / "iris"


def state_folder_of(
    config: config_pb2.ClusterConfig, environment: Mapping[str, str]
) -> StateFolder:
    """Where a configuration's cluster keeps its state here. The folder need not exist."""
    named = config.controller_vm.local.state_dir
    return StateFolder(Path(named).absolute() if named else state_root(environment) / config.name)


@dataclass(frozen=True, slots=True)
class WorkingFolders:
    """Folders that the configuration may put elsewhere: large, and of use to no other process."""

    bundles: Path
    cache: Path

    @property
    def vms(self) -> Path:
        """Folders of local machines, with all that their tasks write; empty once those are gone."""
        return self.cache / "vms"


def working_folders_of(config: config_pb2.ClusterConfig, folder: StateFolder) -> WorkingFolders:
    """Where they are for this cluster."""
    local = config.controller_vm.local
    return WorkingFolders(
        bundles=Path(local.bundle_dir) if local.bundle_dir else folder.path / "bundles",
        cache=Path(local.cache_dir) if local.cache_dir else folder.path / "cache",
    )
