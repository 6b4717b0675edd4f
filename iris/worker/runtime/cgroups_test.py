"""What is written into the files of control groups, of either version, and read from them.

The kernel is a folder here: it makes the files of a group when the group is made. What real ones do
is tested by the runtime's own tests, with those that the machine has.
"""

import os
from pathlib import Path

import pytest

from iris.model.resources import MIB
from iris.worker.runtime import attempt_groups
from iris.worker.runtime.attempt_groups import AttemptGroups
from iris.worker.runtime.cgroup_places import CONTROLLERS, Place
from iris.worker.runtime.cgroups import Groups
from iris.worker.runtime.limits import CPU, MEMORY, PROCESSES, TreeLimits

V1 = (
    "tasks", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swappiness",
    "memory.oom_control", "memory.max_usage_in_bytes", "cgroup.event_control",
    "cpu.cfs_quota_us", "pids.max", "pids.events", "cgroup.procs",
)  # fmt: skip
V2 = (
    "cgroup.procs", "memory.max", "memory.swap.max", "memory.oom.group", "memory.events",
    "memory.peak", "cpu.max", "pids.max", "pids.events",
)  # fmt: skip
LIMITS = TreeLimits(memory_bytes=256 * MIB, cpu_millis=500, processes=100)
ALL = frozenset(CONTROLLERS)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, ...]]:
    """Which files a group gets, by the name of the folder that it is in."""
    files: dict[str, tuple[str, ...]] = {}
    mkdir = os.mkdir

    def make_group(folder: str, mode: int = 0o777) -> None:
        mkdir(folder, mode)
        for name in files.get(Path(folder).parent.name, ()):
            Path(folder, name).touch()

    monkeypatch.setattr(attempt_groups.os, "mkdir", make_group)
    monkeypatch.setattr(attempt_groups, "_HAS_SWAP", True)
    return files


def place(root: Path, version: int, limits: frozenset[str] = ALL) -> Place:
    folder = root / f"v{version}"
    folder.mkdir()
    return Place(version, str(folder), limits)


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.read_text()}


def test_limits_of_version_1(tmp_path: Path, kernel: dict[str, tuple[str, ...]]) -> None:
    kernel["v1"] = V1
    made = AttemptGroups(Groups([place(tmp_path, 1)]), "7-1", LIMITS, to_kill=False)
    assert made.enforced == ALL
    group = tmp_path / "v1" / "7-1"
    told = content(group)
    assert told.pop("cgroup.event_control").startswith(f"{made.oom_fd} ")
    assert told == {
        "memory.limit_in_bytes": str(256 * MIB),
        "memory.memsw.limit_in_bytes": str(256 * MIB),
        "memory.swappiness": "0",
        "cpu.cfs_quota_us": "50000",
        "pids.max": "100",
    }
    made.join()
    assert (group / "tasks").read_text() == "0"
    assert (made.oom_kills(), made.refused_processes(), made.peak_memory_bytes()) == (0, 0, 0)
    (group / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    (group / "memory.max_usage_in_bytes").write_text("268435456\n")
    (group / "pids.events").write_text("max 5\n")
    assert (made.oom_kills(), made.refused_processes()) == (3, 5)
    assert made.peak_memory_bytes() == 256 * MIB
    made.close()


def test_limits_of_version_2(tmp_path: Path, kernel: dict[str, tuple[str, ...]]) -> None:
    kernel["v2"] = V2
    made = AttemptGroups(Groups([place(tmp_path, 2)]), "7-1", LIMITS, to_kill=False)
    assert made.enforced == ALL
    group = tmp_path / "v2" / "7-1"
    assert content(group) == {
        "memory.max": str(256 * MIB),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "cpu.max": "50000 100000",
        "pids.max": "100",
    }
    made.join()
    assert (group / "cgroup.procs").read_text() == "0"
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\n")
    assert made.oom_kills() == 2
    (group / "memory.peak").write_text("1000\n")
    assert made.peak_memory_bytes() == 1000
    made.close()


@pytest.mark.parametrize(
    ("missing", "enforced"),
    [
        ("memory.max", {CPU, PROCESSES}),
        ("memory.swap.max", {MEMORY, CPU, PROCESSES}),
        ("memory.events", {MEMORY, CPU, PROCESSES}),  # then it has to be asked for
        ("cpu.max", {MEMORY, PROCESSES}),
        ("pids.max", {MEMORY, CPU}),
        ("cgroup.procs", set()),
    ],
)
def test_what_cannot_be_limited_is_left_to_the_watchdog(
    tmp_path: Path, kernel: dict[str, tuple[str, ...]], missing: str, enforced: set[str]
) -> None:
    kernel["v2"] = tuple(name for name in V2 if name != missing)
    made = AttemptGroups(Groups([place(tmp_path, 2)]), "7-1", LIMITS, to_kill=False)
    assert made.enforced == enforced
    assert (made.oom_fd >= 0) == (MEMORY in enforced and missing != "memory.events")
    made.close()


def test_a_group_is_made_only_where_it_is_of_use(
    tmp_path: Path, kernel: dict[str, tuple[str, ...]]
) -> None:
    kernel |= {"v1": V1, "v2": V2}
    places = Groups([place(tmp_path, 1, frozenset({MEMORY})), place(tmp_path, 2, frozenset())])
    for number, (limits, to_kill, expected) in enumerate(
        (
            (TreeLimits(processes=5), False, []),
            (TreeLimits(processes=5), True, ["v2"]),
            (LIMITS, False, ["v1"]),
        )
    ):
        made = AttemptGroups(places, f"{number}-1", limits, to_kill=to_kill)
        assert [path.parent.name for path in sorted(tmp_path.glob(f"*/{number}-1"))] == expected
        made.close()


def test_a_lost_supervisors_groups_are_told_by_its_pid(tmp_path: Path) -> None:
    spawners = place(tmp_path, 2)
    groups = Groups([spawners])
    for name in ("71-1", "7-1", "try"):
        (Path(spawners.folder) / name).mkdir()
    groups.discard(7)
    assert sorted(os.listdir(spawners.folder)) == ["71-1", "try"]
    groups.remove()
    assert Path(spawners.folder).exists(), "an attempt's group is still in it"
