"""A bounded cache of folder trees: each is made once, appears whole, and is looked at before use.

What unpacked bundles and Python environments have in common. How a tree is made, and what tells
whether it is still as it was made, is the business of those who use it.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from iris.host.clock import Clock
from iris.host.files import FileLock, atomic_write, private_folder
from iris.model.errors import FailedPrecondition, ResourceExhausted, Unavailable
from iris.worker.blocking import remove_tree, run_in_thread
from iris.worker.tree_print import print_of, size_of

_log = logging.getLogger(__name__)

Say = Callable[[str], None]
Make = Callable[[Path, Say], Awaitable[None]]
"""Makes the tree at a path where nothing is, beside which it may put more that begins with the same
name; whatever of it is left when it fails or is cancelled is removed.
"""

_LOCK = "lock"
_RECORD_SUFFIX = ".json"
_MAKING_PREFIX = ".making-"
_REMOVING_PREFIX = ".removing-"
# Of what was said while a tree was being made, for those who come to wait for it later.
_LINES_REPEATED = 1000


@dataclass(frozen=True, slots=True)
class TreeLease:
    """A tree that stays as it is until `release` is called."""

    path: Path
    release: Callable[[], None]


@dataclass(slots=True)
class _Entry:
    """A tree that is there. `doomed`: found changed, and to go once nobody uses it."""

    name: str
    size_bytes: int
    print: str
    last_used: float
    leases: int = 0
    doomed: bool = False


@dataclass(slots=True)
class _Making:
    """One under way, for all who wait for it; once it is done, until the last of them has a lease."""

    task: "asyncio.Task[None] | None" = None
    listeners: list[Say] = field(default_factory=list)
    said: "deque[str]" = field(default_factory=lambda: deque(maxlen=_LINES_REPEATED))
    given_up: bool = False

    def say(self, text: str) -> None:
        self.said.append(text)
        for listener in self.listeners:
            listener(text)


class TreeCache:
    """One per folder, one process per folder; belongs to one event loop.

    An entry is a folder, which appears complete by one rename, and a record beside it, whose
    modification time is that of the entry's last use. Anything else is from a process that was
    killed, and goes at the next start.

    Args:
        what: What a tree is called in messages, e.g. "bundle".
        max_bytes: Of all trees. The least recently used go first, leased ones never: while more
            than that is in use there is more.
        outlives_callers: Whether one that is being made is finished when nobody waits for it any
            more, for whoever comes next; otherwise it is given up.
        look: What tells whether a tree is as it was made: it says the same each time. Blocks.
    """

    def __init__(
        self,
        folder: Path,
        *,
        what: str,
        max_bytes: int,
        clock: Clock,
        outlives_callers: bool,
        look: Callable[[Path], str] = print_of,
    ) -> None:
        self.folder = folder
        self._what = what
        self._max_bytes = max_bytes
        self._clock = clock
        self._outlives_callers = outlives_callers
        self._look = look
        self._lock = FileLock(folder / _LOCK)
        self._entries: dict[str, _Entry] = {}
        self._makings: dict[str, _Making] = {}
        self._removals: set[asyncio.Task[None]] = set()
        self._removal_numbers = itertools.count()
        self._is_closed = False
        self._opening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Takes the folder and finds what is in it. Idempotent.

        Raises FailedPrecondition if it cannot be used or another process has it.
        """
        # Once only: what is being made by now is nobody's rest.
        if self._opening is None:
            self._opening = asyncio.create_task(asyncio.to_thread(self._open))
        try:
            await asyncio.shield(self._opening)
        except Exception:
            self._opening = None
            raise

    async def close(self) -> None:
        """Gives up what is being made; what is cached stays. Idempotent."""
        self._is_closed = True
        tasks = [one.task for one in self._makings.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        if tasks or self._removals:
            await asyncio.wait([*tasks, *self._removals])
        self._lock.let_go()

    async def get(self, key: str, make: Make, say: Say) -> TreeLease:
        """The tree of that key, made if it is not there or is not what it was.

        Any number of callers at once; of one key one tree is made, and all who wait for it hear
        what is said. Raises what `make` raises, ResourceExhausted if it cannot be kept, Unavailable
        once the cache is closed.

        Args:
            key: A name for a file, shorter than 200 characters, which begins with no dot.
        """
        while True:
            making = self._makings.get(key)
            if making is not None and making.given_up and making.task is not None:
                await asyncio.wait([making.task])
                continue
            if making is None and key in self._entries:
                lease = await self._checked(key, say)
                if lease is not None:
                    return lease
                continue
            await self._join(key, make, say)
            # Nothing came between: a tree just made is not evicted before this.
            return self._lease(self._entries[key])

    async def _checked(self, key: str, say: Say) -> TreeLease | None:
        """A lease of one that is there; None if it is not what it was, and has been put away."""
        entry = self._entries[key]
        lease = self._lease(entry)
        try:
            found = await run_in_thread(self._look_again, self.folder / entry.name)
        except BaseException:
            lease.release()
            raise
        if found == entry.print:
            return lease
        if not entry.doomed:
            say(f"The {self._what} {key} that was kept here has been changed: it is not used.")
            _log.warning("the %s %s was changed", self._what, key)
            self._forget(key, entry)
        lease.release()
        return None

    def _look_again(self, path: Path) -> str | None:
        try:
            return self._look(path)
        except OSError:
            return None

    async def _join(self, key: str, make: Make, say: Say) -> None:
        """Waits for the one that is being made, with all others who do."""
        if self._is_closed:
            raise self._closed(key)
        making = self._makings.get(key)
        if making is None:
            making = self._makings[key] = _Making()
            making.task = asyncio.create_task(self._make(key, make, making.say))
            making.task.add_done_callback(lambda task: self._tidy(key))
        assert making.task is not None
        for text in making.said:
            say(text)
        making.listeners.append(say)
        try:
            await asyncio.shield(making.task)
        except asyncio.CancelledError:
            if self._is_closed and making.task.cancelled():
                raise self._closed(key) from None
            raise
        finally:
            making.listeners.remove(say)
            if not (making.listeners or making.task.done() or self._outlives_callers):
                making.given_up = True
                making.task.cancel()
            self._tidy(key)

    def _closed(self, key: str) -> Unavailable:
        return Unavailable(f"The {self._what} {key} is not here: the cache is closed.")

    def _tidy(self, key: str) -> None:
        """Forgets one that is over once nobody waits for it. Until all who did have a lease, nobody
        evicts what was made.
        """
        making = self._makings.get(key)
        if making is None or making.task is None or not making.task.done():
            return
        if not making.listeners:
            del self._makings[key]
        if not making.task.cancelled():
            making.task.exception()  # whoever waited has it; if nobody did, it needs no word

    def _lease(self, entry: _Entry) -> TreeLease:
        entry.leases += 1
        entry.last_used = self._clock.now().timestamp()
        if not entry.doomed:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._record(entry.name), (entry.last_used, entry.last_used))
        released = False

        def release() -> None:
            nonlocal released
            if not released:
                released = True
                entry.leases -= 1
                if entry.doomed and not entry.leases:
                    self._remove_soon(entry)

        return TreeLease(self.folder / entry.name, release)

    async def _make(self, key: str, make: Make, say: Say) -> None:
        name = self._free_name(key)
        making = self.folder / f"{_MAKING_PREFIX}{name}"
        try:
            await make(making, say)
            await self._keep(key, name, making)
        except OSError as error:
            raise ResourceExhausted(
                f"The {self._what} {key} could not be kept: {error.strerror or error}.",
                hint=f"Make room on the disk of {self.folder}.",
            ) from error
        finally:
            await run_in_thread(self._remove_rests, making.name)

    async def _keep(self, key: str, name: str, making: Path) -> None:
        size = await run_in_thread(size_of, making)
        print_ = await run_in_thread(self._look, making)
        record = {"key": key, "size_bytes": size, "print": print_}
        await run_in_thread(atomic_write, self._record(name), json.dumps(record).encode())
        self._show(making, name)
        self._entries[key] = _Entry(name, size, print_, self._clock.now().timestamp())
        await self._evict()

    def _show(self, making: Path, name: str) -> None:
        making.rename(self.folder / name)

    def _free_name(self, key: str) -> str:
        """The key itself, unless a changed tree that is still in use has it."""
        names = (key, *(f"{key}-{number}" for number in range(2, 1000)))
        return next(name for name in names if not (self.folder / name).exists())

    def _remove_rests(self, name: str) -> None:
        for rest in self.folder.glob(f"{name}*"):
            _remove(rest)

    async def _evict(self) -> None:
        """Down to the bound, as far as nobody uses or is about to use what would have to go."""
        used = sum(entry.size_bytes for entry in self._entries.values())
        for key, entry in sorted(self._entries.items(), key=lambda item: item[1].last_used):
            if used <= self._max_bytes:
                return
            is_gone = self._entries.get(key) is not entry
            if is_gone or entry.leases or key in self._makings:
                continue
            used -= entry.size_bytes
            self._forget(key, entry)
            _log.info("%s %s evicted", self._what, key)
            await self._removed(entry)

    def _forget(self, key: str, entry: _Entry) -> None:
        """Nobody gets it any more."""
        del self._entries[key]
        entry.doomed = True
        self._record(entry.name).unlink(missing_ok=True)

    async def _removed(self, entry: _Entry) -> None:
        gone = self.folder / f"{_REMOVING_PREFIX}{next(self._removal_numbers)}"
        with contextlib.suppress(FileNotFoundError):  # somebody else has removed it
            (self.folder / entry.name).rename(gone)
        await run_in_thread(remove_tree, gone)

    def _remove_soon(self, entry: _Entry) -> None:
        removal = asyncio.get_running_loop().create_task(self._removed(entry))
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)

    def _open(self) -> None:
        private_folder(self.folder)
        if not self._lock.acquire():
            raise FailedPrecondition(
                f"The {self._what} cache {self.folder} is in use by another process.",
                hint="Give each process its own.",
            )
        for record in self.folder.glob(f"*{_RECORD_SUFFIX}"):
            self._find(record)
        names = [entry.name for entry in self._entries.values()]
        known = {_LOCK, *names, *(self._record(name).name for name in names)}
        for left in self.folder.iterdir():
            if left.name not in known:
                _remove(left)

    def _find(self, record: Path) -> None:
        """Takes in the entry with that record, if there is one."""
        try:
            said = json.loads(record.read_text())
            key, size, print_ = str(said["key"]), int(said["size_bytes"]), str(said["print"])
        except (ValueError, KeyError, TypeError):
            return
        if (self.folder / record.stem).is_dir():
            entry = _Entry(record.stem, size, print_, record.stat().st_mtime)
            self._entries.setdefault(key, entry)

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}{_RECORD_SUFFIX}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
