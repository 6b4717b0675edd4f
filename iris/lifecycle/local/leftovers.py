"""What a cluster that was stopped may have left on this machine, looked for rather than assumed."""

import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from iris.host.files import TEMPORARY_SUFFIX
from iris.host.processes import (
    ProcessHandle,
    ProcessIdentity,
    all_processes,
    command_line,
    process_strings,
)
from iris.lifecycle.state_folder import ControllerRecord, StateFolder, WorkingFolders
from iris.model.errors import IrisError

# Names what a task was started for; every process of it inherits it.
_TASK_VARIABLE = "IRIS_ATTEMPT_ID="
_HOME_VARIABLE = "HOME="
_CONNECT_SECONDS = 0.5
_MAX_COMMAND = 100


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a running cluster occupies, taken down before it is told to stop.

    Attributes:
        processes: Its controller and everything below that.
    """

    folder: StateFolder
    working: WorkingFolders
    record: ControllerRecord | None
    processes: tuple[ProcessIdentity, ...]

    def processes_left(self, timeout: float) -> list[str]:
        """Processes that still run, each with its name, after up to `timeout` seconds to end in."""
        suspects = {*self.processes, *task_processes(self.working.vms)}
        until = time.monotonic() + timeout
        left = []
        for process in sorted(suspects):
            handle = ProcessHandle.open(process)
            if handle is None:
                continue
            with handle:
                if not handle.wait(max(0.0, until - time.monotonic())):
                    left.append(f"{process} ({command_line(process)[:_MAX_COMMAND]})")
        return left

    def tidy_up(self) -> None:
        """Removes what one that was killed could not. Only once none of its processes is left."""
        self.folder.record_file.unlink(missing_ok=True)
        for folder in (self.folder.temporary, self.working.vms):
            shutil.rmtree(folder, ignore_errors=True)

    def things_left(self) -> list[str]:
        """Everything else that is left, each with its name."""
        return [*self._lock(), *self._port(), *self._files()]

    def _lock(self) -> Iterator[str]:
        if self.folder.is_locked():
            yield f"somebody holds the lock {self.folder.lock_file}"

    def _port(self) -> Iterator[str]:
        if self.record is None:
            return
        host, _, port = self.record.address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
        except OSError:
            return
        if not _is_somebody_elses(self.record):
            yield f"port {self.record.address} still answers"

    def _files(self) -> Iterator[str]:
        if self.folder.record_file.exists():
            yield f"file {self.folder.record_file}"
        for folder in (self.folder.temporary, self.working.vms):
            for path in _entries(folder):
                yield f"file {path}"
        for path in (*_entries(self.folder.path), *_entries(self.working.cache)):
            if path.name.endswith(TEMPORARY_SUFFIX):
                yield f"temporary file {path}"
            elif stat.S_ISSOCK(path.lstat().st_mode):
                yield f"socket {path}"


def task_processes(vms: Path) -> Iterator[ProcessIdentity]:
    """Processes of tasks whose home is below `vms`, whoever their parent is now."""
    home = f"{_HOME_VARIABLE}{vms}{os.sep}"
    for process in all_processes():
        strings = process_strings(process, "environ")
        if any(text.startswith(_TASK_VARIABLE) for text in strings) and any(
            text.startswith(home) for text in strings
        ):
            yield process


def _is_somebody_elses(record: ControllerRecord) -> bool:
    """Whether another program has the port by now: ports are given out again at once."""
    from iris.rpc.health import check_health

    try:
        answer = check_health(record.address, timedelta(seconds=_CONNECT_SECONDS))
    except IrisError:
        return False
    return answer.incarnation_id != record.incarnation


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
