"""Where groups can be made: read from what the kernel says of hierarchies and mounts."""

import os
from pathlib import Path

import pytest

from iris.worker.runtime.cgroup_places import (
    Hierarchy,
    hierarchies,
    is_alive,
    leftovers,
    own_identity,
    remove_group,
)

HYBRID = """\
9:name=systemd:/
8:pids:/
4:memory:/jobs/7
3:cpu,cpuacct:/
0::/
"""
HYBRID_MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/root rw
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpuacct,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids ro,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/my\\040unified rw,relatime - cgroup2 cgroup2 rw
"""
SHIFTED = "41 31 0:38 /user.slice/app /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"


def test_each_hierarchy_is_found_where_it_is_mounted() -> None:
    found = hierarchies(HYBRID, HYBRID_MOUNTS)
    memory, cpu, unified = (
        "/sys/fs/cgroup/memory",
        "/sys/fs/cgroup/cpu,cpuacct",
        "/sys/fs/cgroup/my unified",
    )
    assert found == [  # the read-only one is left out
        Hierarchy(1, frozenset({"memory"}), memory, f"{memory}/jobs/7"),
        Hierarchy(1, frozenset({"cpu", "cpuacct"}), cpu, cpu),
        Hierarchy(2, frozenset(), unified, unified),
    ]


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/user.slice/app", "/sys/fs/cgroup"),
        ("/user.slice/app/w.scope", "/sys/fs/cgroup/w.scope"),
        # Outside of what is mounted here.
        ("/user.slice/apple", None),
        ("/", None),
        ("/../other", None),
    ],
)
def test_a_mount_may_show_a_part_only(path: str, own: str | None) -> None:
    found = hierarchies(f"0::{path}\n", SHIFTED)
    assert [one.own for one in found] == ([] if own is None else [own])


@pytest.mark.parametrize(("cgroup", "mounts"), [("", ""), (HYBRID, ""), ("", HYBRID_MOUNTS)])
def test_a_system_without_has_none(cgroup: str, mounts: str) -> None:
    assert hierarchies(cgroup, mounts) == []


def test_an_identity_is_one_process_only() -> None:
    own = own_identity()
    assert own.startswith(f"{os.getpid()}-")
    assert is_alive(own)
    assert not is_alive(own + "1")
    assert not is_alive("try")
    assert not is_alive("")


def test_only_what_the_dead_left_is_left_over(tmp_path: Path) -> None:
    own, namespace = own_identity(), os.stat("/proc/self/ns/pid").st_ino
    for group in (
        f"iris-{namespace}-{own}/{own}",
        f"iris-{namespace}-{own}/1-0",  # its spawner will see to it
        f"iris-{namespace}-1-0/{own}",  # dead, but an attempt of it still has its supervisor
        f"iris-{namespace}-1-0/2-0",
        "iris-77-1-0/2-0",  # of another PID namespace
        "system.slice/2-0",
    ):
        (tmp_path / group).mkdir(parents=True)
    found = [Hierarchy(2, frozenset(), str(tmp_path), str(tmp_path))]
    dead = f"{tmp_path}/iris-{namespace}-1-0"
    assert leftovers(found) == [f"{dead}/2-0", dead]


def test_a_group_goes_with_those_below_it(tmp_path: Path) -> None:
    group = tmp_path / "group"
    (group / "a" / "b").mkdir(parents=True)
    assert remove_group(str(group))
    assert not group.exists()
    assert remove_group(str(group))
    group.mkdir()
    (group / "file").touch()  # as if a process were in it
    assert not remove_group(str(group))
