"""A controller's database and its back-ups: where they are, and how one takes the database's place.

Bundles and logs are not in them: those are files of their own beside the database.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from iris.controller import store as stores
from iris.controller.store import Store
from iris.host.files import private_folder

# In the state folder.
DATABASE_NAME = "controller.db"
FOLDER_NAME = "backups"


@dataclass(frozen=True, slots=True)
class BackUp:
    """A copy of the database as it was at one moment."""

    path: Path
    size_bytes: int


async def back_up(store: Store, state_dir: Path, now: datetime) -> BackUp:
    """Makes one, named after the time, while the store goes on being used.

    Raises AlreadyExists for a second one in the same microsecond, Unavailable when it cannot be
    written.
    """
    path = private_folder(state_dir / FOLDER_NAME) / f"{now:%Y%m%dT%H%M%S.%fZ}.db"
    await store.back_up(path)
    return BackUp(path, path.stat().st_size)


def restore(path: Path, state_dir: Path) -> Path | None:
    """Puts a copy of a back-up in the place of the database, which no controller may use; returns
    where the one that was there is now. Blocks. Raises as iris.controller.store.restore.
    """
    return stores.restore(path, state_dir / DATABASE_NAME, replace=True)
