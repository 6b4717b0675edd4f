"""Control groups: where a spawner has them, and a sure way to end all who are in some.

A group is put to use for what it can do here; what it cannot is the watchdog's. Those of one attempt
are in `attempt_groups`.
"""

import contextlib
import os
import signal
import time

from iris.worker.runtime.cgroup_places import (
    Hierarchy,
    Place,
    find_places,
    groups_in,
    is_alive,
    leftovers,
    own_hierarchies,
    remove_group,
    write_file,
)
from iris.worker.runtime.process_tree import read_file

# A group is empty a moment after its last process was waited for.
_REMOVE_TRIES = 50
_REMOVE_WAIT_SECONDS = 0.002
_MAX_KILL_ROUNDS = 50


class Groups:
    """What a spawner has of control groups; forked supervisors use it for their attempts."""

    def __init__(self, places: list[Place]) -> None:
        self.places = places
        self.limits: frozenset[str] = frozenset().union(*(place.limits for place in places))
        self.can_kill = any(os.path.exists(f"{one.folder}/cgroup.kill") for one in places)

    @classmethod
    def find(cls) -> "Groups":
        """Those of this process, made now. Before, ends and removes what dead ones left."""
        found = own_hierarchies()
        remove_leftovers(found)
        return cls(find_places(found))

    def by_version(self, what: str) -> int:
        """Of the hierarchy that limits `what`; 0 for none."""
        return next((place.version for place in self.places if what in place.limits), 0)

    def discard(self, supervisor: int) -> None:
        """Ends and removes what a supervisor that was killed and waited for left."""
        folders = [
            f"{place.folder}/{name}"
            for place in self.places
            for name in groups_in(place.folder)
            if name.startswith(f"{supervisor}-") and not is_alive(name)
        ]
        end_and_remove(folders)

    def remove(self) -> None:
        """What is left of them at the end of a spawner, or of the last supervisor of a dead one."""
        for place in self.places:
            with contextlib.suppress(OSError):
                os.rmdir(place.folder)


def remove_leftovers(found: list[Hierarchy]) -> None:
    """Ends whoever is in groups of dead processes, and removes them."""
    end_and_remove(leftovers(found))


def kill_at_once(folder: str) -> bool:
    """Everybody in it and below, in one step; False where the kernel cannot."""
    try:
        write_file(f"{folder}/cgroup.kill", b"1")
    except OSError:
        return False
    return True


def kill_listed(folders: list[str]) -> None:
    """All who are in there, until nobody is, or nobody new appears."""
    killed: set[int] = set()
    for _ in range(_MAX_KILL_ROUNDS):
        for folder in folders:
            kill_at_once(folder)
        new = _members(folders) - killed
        if not new:
            return
        pidfds = {}
        for pid in new:
            with contextlib.suppress(OSError):
                pidfds[pid] = os.pidfd_open(pid)
        # Listed again after their pidfds were made, so it is them.
        still = _members(folders)
        for pid, pidfd in pidfds.items():
            if pid in still:
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        killed |= new


def end_and_remove(folders: list[str]) -> None:
    """Removes the groups that are empty, and ends whoever is in the others. What still does not go
    after a while is left.
    """
    left = folders
    for _ in range(_REMOVE_TRIES):
        left = [folder for folder in left if not remove_group(folder)]
        if not left:
            return
        kill_listed(left)
        time.sleep(_REMOVE_WAIT_SECONDS)


def _members(folders: list[str]) -> set[int]:
    """Pids in these groups and those below them; 0 stands for one that we cannot see."""
    found: set[int] = set()
    for folder in folders:
        for path, _, _ in os.walk(folder):
            found.update(map(int, read_file(f"{path}/cgroup.procs").split()))
    return found - {0, os.getpid()}
