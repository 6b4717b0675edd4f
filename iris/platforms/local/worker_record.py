"""Who works in a VM's folder, written down there, for whoever finds the folder after a controller was killed."""

import contextlib
import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from iris.host.files import TEMPORARY_SUFFIX
from iris.host.processes import ProcessIdentity, descendants, end_processes
from iris.model.errors import FailedPrecondition

_NAME = "worker.json"
# Nothing that is killed lasts longer, unless it hangs in the kernel.
_KILL_SECONDS = 10.0


def write_worker_record(folder: Path, pid: int) -> None:
    """Notes the process that works in this folder now; nothing if it has ended already."""
    identity = ProcessIdentity.of(pid)
    if identity is not None:
        fields = {"pid": identity.pid, "start_time": identity.start_time}
        # Whole or not at all; not synced, for the process does not survive the machine either.
        new = folder / f"{_NAME}{TEMPORARY_SUFFIX}"
        new.write_text(json.dumps(fields))
        new.replace(folder / _NAME)


def discard_vm_folders(vms: Path, *, keep: Collection[str]) -> list[str]:
    """Removes all folders of VMs but those named, after ending every process that is noted in them, with everything
    below it. Blocks. The names of those whose worker was found running.

    Raises FailedPrecondition if one cannot be ended: nothing must be started beside it.
    """
    found = []
    for folder in sorted(vms.iterdir()) if vms.is_dir() else ():
        if folder.name in keep:
            continue
        worker = _read(folder)
        if worker is not None and worker.is_alive():
            found.append(folder.name)
            _end(folder, worker)
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _end(folder: Path, worker: ProcessIdentity) -> None:
    left = end_processes((worker, *descendants(worker)), grace=0, deadline=_KILL_SECONDS)
    if left:
        raise FailedPrecondition(
            f"The worker of an earlier controller in {folder} cannot be ended: {', '.join(map(str, left))}.",
            hint="End it by hand, then start the cluster again.",
        )
    # After an exec it may be a child of this very process, which nobody else will reap.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(worker.pid, os.WNOHANG)


def _read(folder: Path) -> ProcessIdentity | None:
    """None if there is no record, or none that makes sense: the worker was not started yet."""
    try:
        fields = json.loads((folder / _NAME).read_bytes())
        return ProcessIdentity(int(fields["pid"]), int(fields["start_time"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
