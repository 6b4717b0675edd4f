"""The control groups of one supervisor's attempts: the kernel's own limits for a tree.

The kernel kills one process of a group that has no memory left: that is noticed, and then the whole
tree goes.
"""

import contextlib
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

from iris.worker.runtime.cgroup_places import Place, groups_in, remove_group, write_file
from iris.worker.runtime.cgroups import Groups, end_and_remove, kill_at_once, kill_listed
from iris.worker.runtime.limits import CPU, MEMORY, PROCESSES, TreeLimits
from iris.worker.runtime.process_tree import read_file
from iris.worker.runtime.raw_fork import fork_into

# Also what v1 groups have by themselves.
_PERIOD_US = 100_000
# The kernel's least quota.
_MIN_QUOTA_US = 1_000
# The first line is a heading. Swap that is turned on later is not reckoned with.
_HAS_SWAP = len(read_file("/proc/swaps").splitlines()) > 1
# A folder's own: its name, and the one that it has in itself. Each folder in it has one more.
_LINKS_OF_EMPTY = 2
# Between the kernel's word that a group is out of memory and its count of who it killed for that.
OOM_SETTLES_SECONDS = 1.0


class _Counter:
    """What the kernel counts in a group as long as the group exists. The file stays open: the kernel
    writes it anew for every reading.
    """

    def __init__(self, path: str, name: bytes) -> None:
        """A file that is not there counts nothing."""
        self._start = name + b" "
        self._earlier = 0
        self._fd = -1
        with contextlib.suppress(OSError):
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> int:
        """Since the last `reset`."""
        return self._total() - self._earlier

    def reset(self) -> None:
        """Counts from 0 again."""
        self._earlier = self._total()

    def close(self) -> None:
        """It counts nothing any more. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _total(self) -> int:
        try:
            text = os.pread(self._fd, 4096, 0)
        except OSError:  # there is no file, or no group any more
            return self._earlier
        for line in text.splitlines():
            if line.startswith(self._start):
                return int(line.split()[1])
        return 0


class AttemptGroups:
    """The groups of one attempt: made empty, joined by its root, removed when nobody is in them, or
    emptied and used again for the next attempt of the same limits.

    Attributes:
        enforced: The limits that the kernel holds; the others are the watchdog's.
        oom_fd: Readable for `oom_events` when the kernel may have killed for lack of memory; -1 if
            it does not tell.
    """

    def __init__(
        self, groups: Groups, supervisor: str, limits: TreeLimits, *, to_kill: bool
    ) -> None:
        """A group that cannot be made is done without.

        Args:
            supervisor: Its identity, which they are called by.
            to_kill: Also a group that limits nothing but ends its tree for sure.
        """
        self.enforced: frozenset[str] = frozenset()
        self.oom_fd = -1
        self.oom_events = select.POLLIN
        self._folders: list[tuple[Place, str]] = []
        self._memory: tuple[int, str] | None = None
        self._processes = ""
        self._oom_kills: _Counter | None = None
        self._refused: _Counter | None = None
        # Whether a group's number of links tells how many groups are in it.
        self._links_tell = True
        self._join_fds: list[int] = []
        self._leave_fds: list[int] = []
        self._v2_fd = self._v2_join_fd = -1
        self._is_in_v2 = False
        wanted = {
            what
            for what, limit in (
                (MEMORY, limits.memory_bytes),
                (CPU, limits.cpu_share_millis),
                (PROCESSES, limits.processes),
            )
            if limit
        }
        for place in groups.places:
            if place.limits & wanted or (to_kill and place.version == 2):
                with contextlib.suppress(OSError):
                    self._make(place, f"{place.folder}/{supervisor}", wanted, limits)

    def _make(self, place: Place, folder: str, wanted: set[str], limits: TreeLimits) -> None:
        os.mkdir(folder)
        self._folders.append((place, folder))
        self._links_tell = self._links_tell and os.stat(place.folder).st_nlink > _LINKS_OF_EMPTY
        if place.version == 1:
            # A thread that moves itself is let in at once. Whole processes wait for all CPUs to have
            # been idle for a moment, some 10 ms when nobody did it lately.
            self._join_fds.append(os.open(f"{folder}/tasks", os.O_WRONLY | os.O_CLOEXEC))
            home = os.path.dirname(place.folder)
            with contextlib.suppress(OSError):
                self._leave_fds.append(os.open(f"{home}/tasks", os.O_WRONLY | os.O_CLOEXEC))
        else:
            self._v2_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._v2_join_fd = os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        for what in place.limits & wanted:
            with contextlib.suppress(OSError):
                for name, value, needed in _settings(place.version, what, limits):
                    try:
                        write_file(f"{folder}/{name}", value)
                    except OSError:
                        if needed:
                            raise
                self._now_enforced(place.version, what, folder)

    def _now_enforced(self, version: int, what: str, folder: str) -> None:
        self.enforced |= {what}
        if what == PROCESSES:
            self._processes = folder
            self._refused = _Counter(f"{folder}/pids.events", b"max")
        if what == MEMORY:
            self._memory = (version, folder)
            file = "memory.oom_control" if version == 1 else "memory.events"
            self._oom_kills = _Counter(f"{folder}/{file}", b"oom_kill")
            with contextlib.suppress(OSError, AttributeError):
                self.oom_fd, self.oom_events = _watch_oom(version, folder)

    @property
    def memory_folder(self) -> str:
        """Of the group that counts its memory; empty if none does."""
        return self._memory[1] if self._memory is not None else ""

    def fork(self) -> int:
        """As os.fork; the child has to `join`. Raises OSError."""
        if self._v2_fd >= 0:
            with contextlib.suppress(OSError):  # then it joins as any process does
                pid = fork_into(self._v2_fd)
                self._is_in_v2 = True
                return pid
        return os.fork()

    def join(self) -> None:
        """Puts the calling process, which has one thread, in. Raises OSError."""
        for fd in self._join_fds:
            os.write(fd, b"0")
        if self._v2_join_fd >= 0 and not self._is_in_v2:
            os.write(self._v2_join_fd, b"0")

    @property
    def can_be_entered(self) -> bool:
        """Whether the supervisor itself can be in them for a moment: see `entered`."""
        return self._v2_fd < 0 and len(self._join_fds) == len(self._leave_fds)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The calling process, which has one thread, is in them: what it starts is born there.
        Raises OSError.
        """
        try:
            for fd in self._join_fds:
                os.write(fd, b"0")
            yield
        finally:
            for fd in self._leave_fds:
                os.write(fd, b"0")

    def renew(self) -> bool:
        """Makes them as good as new for the next attempt, once everybody is gone. False where that
        cannot be: then they have to be removed, and made again.
        """
        if not self.can_be_entered:
            return False
        try:
            if not all(self._remove_below(folder) for _, folder in self._folders):
                return False
            if self._memory is not None:
                write_file(f"{self._memory[1]}/memory.max_usage_in_bytes", b"0")
        except OSError:
            return False
        if self.oom_fd >= 0:
            self.drain_oom()
        for counter in (self._oom_kills, self._refused):
            if counter is not None:
                counter.reset()
        return True

    def _remove_below(self, folder: str) -> bool:
        """Removes the groups in a group; false if one stays. Raises OSError."""
        if self._links_tell and os.stat(folder).st_nlink == _LINKS_OF_EMPTY:
            return True
        return all(remove_group(f"{folder}/{name}") for name in groups_in(folder))

    def close(self) -> None:
        """Without removing them. Idempotent."""
        fds = (*self._join_fds, *self._leave_fds, self._v2_fd, self._v2_join_fd, self.oom_fd)
        for fd in fds:
            if fd >= 0:
                os.close(fd)
        self._join_fds.clear()
        self._leave_fds.clear()
        self._v2_fd = self._v2_join_fd = self.oom_fd = -1
        for counter in (self._oom_kills, self._refused):
            if counter is not None:
                counter.close()

    def drain_oom(self) -> None:
        """Takes the news from `oom_fd`."""
        with contextlib.suppress(OSError):
            if self.oom_events & select.POLLIN:
                os.read(self.oom_fd, 8)
            else:
                os.pread(self.oom_fd, 4096, 0)

    def oom_kills(self) -> int:
        """How many processes of it the kernel has killed for lack of memory in the group."""
        return self._oom_kills.read() if self._oom_kills is not None else 0

    def refused_processes(self) -> int:
        """How often it was refused one more process or thread."""
        return self._refused.read() if self._refused is not None else 0

    def peak_memory_bytes(self) -> int:
        """The most it ever used, files that are only cached included; 0 if not known."""
        if self._memory is None:
            return 0
        version, folder = self._memory
        names = (
            ("memory.max_usage_in_bytes",) if version == 1 else ("memory.peak", "memory.current")
        )
        for name in names:
            if text := read_file(f"{folder}/{name}").strip():
                return int(text)
        return 0

    def kill(self) -> None:
        """Ends everybody in them."""
        if any(kill_at_once(folder) for _, folder in self._folders):
            return
        if self._processes:
            with contextlib.suppress(OSError):
                write_file(f"{self._processes}/pids.max", b"0")
        kill_listed([folder for _, folder in self._folders])

    def remove(self) -> None:
        """Once everybody is gone; what a task made below them too. What does not go is left to the
        spawner.
        """
        self.close()
        end_and_remove([folder for _, folder in self._folders])
        self._folders.clear()


def _settings(version: int, what: str, limits: TreeLimits) -> list[tuple[str, bytes, bool]]:
    """Files, values, and whether the limit is none without. Swap would only delay its end."""
    if what == MEMORY:
        memory = b"%d" % limits.memory_bytes
        if version == 2:
            swap = [("memory.swap.max", b"0", False)] if _HAS_SWAP else []
            return [("memory.max", memory, True), ("memory.oom.group", b"1", False), *swap]
        swap = [
            ("memory.memsw.limit_in_bytes", memory, False),
            ("memory.swappiness", b"0", False),
        ]
        return [("memory.limit_in_bytes", memory, True), *(swap if _HAS_SWAP else ())]
    if what == PROCESSES:
        return [("pids.max", b"%d" % limits.processes, True)]
    quota = max(_MIN_QUOTA_US, limits.cpu_millis * _PERIOD_US // 1000)
    if version == 2:
        return [("cpu.max", b"%d %d" % (quota, _PERIOD_US), True)]
    return [("cpu.cfs_quota_us", b"%d" % quota, True)]


def _watch_oom(version: int, folder: str) -> tuple[int, int]:
    """A descriptor and what to poll it for. Raises OSError."""
    if version == 2:
        fd = os.open(f"{folder}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
        os.pread(fd, 4096, 0)
        return fd, select.POLLPRI
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        control = os.open(f"{folder}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            write_file(f"{folder}/cgroup.event_control", b"%d %d" % (event, control))
        finally:
            os.close(control)
    except OSError:
        os.close(event)
        raise
    return event, select.POLLIN
