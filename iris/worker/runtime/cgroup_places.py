"""Where control groups may be made here, and for which limits: found out by trying, never by who
we are.

A spawner has a group of its own in each hierarchy that lets it, with one group below it per
attempt. Its name says which process it belongs to, so that the next spawner can tell what a dead
one left.
"""

import contextlib
import os
from typing import NamedTuple

from iris.worker.runtime.limits import CPU, MEMORY, PROCESSES
from iris.worker.runtime.process_tree import read_file

_PREFIX = "iris-"
# What bounds what: the kernel's names of the controllers.
CONTROLLERS = {MEMORY: "memory", CPU: "cpu", PROCESSES: "pids"}


class Hierarchy(NamedTuple):
    """One tree of groups, and this process's own group in it.

    `top` is the highest folder of it that can be seen; `controllers` are a v1 hierarchy's own.
    """

    version: int
    controllers: frozenset[str]
    top: str
    own: str


class Place(NamedTuple):
    """A spawner's group: attempts get groups below it, which enforce `limits` (of
    iris.worker.runtime.limits).
    """

    version: int
    folder: str
    limits: frozenset[str]


def hierarchies(cgroup: str, mountinfo: str) -> list[Hierarchy]:
    """From the contents of /proc/self/cgroup and /proc/self/mountinfo. A named one (systemd's) is
    left out.
    """
    mounts = _mounts(mountinfo)
    found = []
    for line in cgroup.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        controllers = frozenset(names.split(",")) if names else frozenset()
        if any(name.startswith("name=") for name in controllers) or "/.." in path:
            continue
        version = 2 if number == "0" and not names else 1
        for kind, options, root, top in mounts:
            if kind != version or not controllers <= options:
                continue
            if root == "/" or path == root or path.startswith(root + "/"):
                below = path if root == "/" else path[len(root) :]
                found.append(Hierarchy(version, controllers, top, (top + below).rstrip("/")))
                break
    return found


def _mounts(mountinfo: str) -> list[tuple[int, frozenset[str], str, str]]:
    """Version, options, root and mount point of each hierarchy that is mounted writable."""
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, _, options) = left.split(), right.split(" ", 2)
        if kind in ("cgroup", "cgroup2") and "ro" not in fields[5].split(","):
            version = 2 if kind == "cgroup2" else 1
            root, top = (_unescape(field) for field in fields[3:5])
            found.append((version, frozenset(options.split(",")), root, top))
    return found


def _unescape(field: str) -> str:
    """Blanks and backslashes in mountinfo are octal."""
    return field.encode("latin-1").decode("unicode_escape") if "\\" in field else field


def own_hierarchies() -> list[Hierarchy]:
    """Of this process; none on a system without."""
    return hierarchies(
        os.fsdecode(read_file("/proc/self/cgroup")), os.fsdecode(read_file("/proc/self/mountinfo"))
    )


def find_places(found: list[Hierarchy]) -> list[Place]:
    """Makes this process's groups. One that can neither limit nor kill is not kept."""
    name = f"{_PREFIX}{_namespace()}-{own_identity()}"
    places: list[Place] = []
    taken: set[str] = set()
    for hierarchy in found:
        place = _try_v1(hierarchy, name) if hierarchy.version == 1 else _try_v2(hierarchy, name)
        if place is None:
            continue
        place = place._replace(limits=place.limits - taken)
        taken |= place.limits
        places.append(place)
    return places


def _try_v1(hierarchy: Hierarchy, name: str) -> Place | None:
    wanted = {
        what for what, controller in CONTROLLERS.items() if controller in hierarchy.controllers
    }
    if not wanted:
        return None
    place = Place(1, f"{hierarchy.own}/{name}", frozenset(wanted))
    return place if _works(place) else None


def _try_v2(hierarchy: Hierarchy, name: str) -> Place | None:
    """In our own group, or beside it: only groups without processes can hand controllers down."""
    best: Place | None = None
    parents = [hierarchy.own]
    if hierarchy.own != hierarchy.top:
        parents.append(os.path.dirname(hierarchy.own))
    for parent in parents:
        place = Place(2, f"{parent}/{name}", frozenset())
        if not _works(place):
            continue
        place = place._replace(limits=_hand_down(parent, place.folder))
        if best is None or len(place.limits) > len(best.limits):
            best, place = place, best or place
        if place is not best:
            remove_group(place.folder)
    return best


def _hand_down(parent: str, folder: str) -> frozenset[str]:
    got = set()
    for what, controller in CONTROLLERS.items():
        with contextlib.suppress(OSError):
            for group in (parent, folder):
                write_file(f"{group}/cgroup.subtree_control", b"+" + controller.encode())
            got.add(what)
    return frozenset(got)


def _works(place: Place) -> bool:
    """Really makes the group and moves a process into one below it."""
    inner = f"{place.folder}/try"
    try:
        os.makedirs(inner)
        probe = os.fork()
        if probe == 0:
            try:
                write_file(f"{inner}/cgroup.procs", b"0")
            except BaseException:  # noqa: BLE001 - the exit code says it
                os._exit(1)
            os._exit(0)
        works = os.waitpid(probe, 0)[1] == 0
        os.rmdir(inner)
    except OSError:
        works = False
    if not works:
        remove_group(place.folder)
    return works


def leftovers(found: list[Hierarchy]) -> list[str]:
    """Groups of attempts whose spawner and supervisor are dead, and those of dead spawners.

    Those of another PID namespace cannot be judged and are left alone.
    """
    own = f"{_PREFIX}{_namespace()}-"
    left: list[str] = []
    for parent in {folder for one in found for folder in (one.own, os.path.dirname(one.own))}:
        for group in groups_in(parent):
            if not group.startswith(own) or is_alive(group[len(own) :]):
                continue
            folder = f"{parent}/{group}"
            left += (f"{folder}/{one}" for one in groups_in(folder) if not is_alive(one))
            left.append(folder)
    return left


def groups_in(folder: str) -> list[str]:
    """Names of the groups right below; none if it is gone."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _namespace() -> int:
    """Which PID namespace our pids are of: containers may share a hierarchy."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def identity_of(pid: str) -> str:
    """`pid-start`: a pid used anew has another start. One that has ended has none."""
    fields = read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return f"{pid}-ended"
    return f"{pid}-{int(fields[19])}"


def own_identity() -> str:
    """Of this process, by the pid that it has where /proc is mounted."""
    return identity_of(os.readlink("/proc/self"))


def is_alive(identity: str) -> bool:
    """Whether that very process still runs."""
    pid = identity.partition("-")[0]
    return pid.isdigit() and identity_of(pid) == identity


def remove_group(folder: str) -> bool:
    """With what a task made below it. False while a process is in it."""
    try:
        os.rmdir(folder)
        return True
    except FileNotFoundError:
        return True
    except OSError:
        pass
    for path, names, _ in os.walk(folder, topdown=False):
        for name in names:
            with contextlib.suppress(OSError):
                os.rmdir(f"{path}/{name}")
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


def write_file(path: str, value: bytes) -> None:
    """One write, as these files want it. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value)
    finally:
        os.close(fd)
