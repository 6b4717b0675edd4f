"""Puts a back-up in the place of a cluster's database."""

from pathlib import Path

from iris.host.files import FileLock
from iris.lifecycle.state_folder import StateFolder
from iris.model.errors import FailedPrecondition


def restore_back_up(folder: StateFolder, path: Path) -> Path | None:
    """The cluster with this state folder then goes on, at its next start, from where the back-up
    was made. Returns where the database is that was there, if one was. Blocks.

    Raises FailedPrecondition when there is no such folder, a controller has it, or the file is no
    back-up; NotFound or DataLoss when the file is not there or damaged. The database is as it was
    then.
    """
    # Imported here: the store is more to load than who only looks for a cluster needs.
    from iris.controller.back_ups import restore

    if not folder.path.is_dir():
        raise FailedPrecondition(
            f"There is no state folder {folder.path}.", hint="Was the cluster ever started here?"
        )
    lock = FileLock(folder.lock_file)
    if not lock.acquire():
        holder = folder.lock_holder()
        raise FailedPrecondition(
            f"A controller ({holder or 'just being started'}) has the state folder {folder.path}.",
            hint="Stop the cluster first.",
        )
    try:
        return restore(path, folder.path)
    finally:
        lock.let_go()
