"""The store as the controller's loop uses it: a Database in a thread of its own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Event as Flag
from typing import TypeVar

from iris.controller.state.events import Event
from iris.controller.store.changes import Changes, Recovered
from iris.controller.store.database import Database

T = TypeVar("T")


class Store:
    """Use from one event loop. SQLite runs in a thread of its own, back-ups in another, so that
    nobody waits for them; `close` ends both.
    """

    def __init__(self, database: Database, thread: ThreadPoolExecutor) -> None:
        """See `open`."""
        self._database = database
        self._thread = thread
        self._copier = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-copier")
        self._closing = Flag()

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Opens the file, or makes it. Blocks.

        Raises what `Database.open` raises.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        try:
            return cls(thread.submit(Database.open, path).result(), thread)
        except BaseException:
            thread.shutdown()
            raise

    async def commit(
        self, events: Sequence[Event], changes: Changes, *, soon: bool = False
    ) -> None:
        """Writes all of it or nothing; once this returns it survives the end of this process and,
        unless `soon`, of the machine. The next one that is not `soon` ensures that of all.

        Raises Unavailable (the disk is full, ...) or Internal (it does not fit to what is stored).
        The state in memory is then ahead of the file: its owner has to end.
        """
        await self._in_thread(lambda: self._database.commit(events, changes, soon=soon))

    async def load(self) -> Recovered:
        """The records. Raises DataLoss when they cannot be read."""
        return await self._in_thread(self._database.load)

    async def load_scaling(self) -> dict[str, bytes]:
        """What the autoscaler saved last, by scale group. Raises DataLoss when it cannot be read."""
        return await self._in_thread(self._database.load_scaling)

    async def save_scaling(self, records: Mapping[str, bytes]) -> None:
        """Replaces what is kept of these scale groups; once this returns it survives as a commit
        does. Raises Unavailable; nothing is changed then.
        """
        await self._in_thread(lambda: self._database.save_scaling(records))

    async def prune_events(self, before: datetime) -> int:
        """Deletes events of turns that ended before that; returns how many. Gives the room that
        they, and pruned jobs, have left back to the disk.

        In small steps, so that commits need not wait for all of it. Raises Unavailable.
        """
        deleted = 0
        while step := await self._in_thread(lambda: self._database.prune_events(before)):
            deleted += step
        while await self._in_thread(self._database.shrink):
            pass
        return deleted

    async def back_up(self, target: Path) -> None:
        """Copies the present state into a new file, while this store goes on being used.

        It is seen under its name once it is whole, checked and on disk, and not before.

        Raises AlreadyExists when there is such a file, Unavailable when it cannot be written or the
        store is closed meanwhile. Nothing is left of it then.
        """
        await asyncio.get_running_loop().run_in_executor(
            self._copier, lambda: self._database.back_up(target, stop=self._closing.is_set)
        )

    def close(self) -> None:
        """Finishes what is under way, but gives up a back-up, and lets go of the file. Blocks.
        Idempotent.
        """
        self._closing.set()
        self._copier.shutdown()
        try:
            self._thread.submit(self._database.close).result()
        except RuntimeError:
            return  # closed before
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
