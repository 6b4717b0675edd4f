"""Tests of what a process may use, over made-up control groups."""

import os
from pathlib import Path

import pytest

from iris.host.budget import (
    available_memory,
    free_disk,
    this_machine,
    usable_cpu_millis,
    usable_memory,
)

_PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class _Machine:
    """A /proc and a /sys/fs/cgroup made of files."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        self.cgroups = root / "cgroup"

    def put(self, path: str, text: str) -> None:
        file = self.proc.parent / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def cpu(self) -> int:
        return usable_cpu_millis(proc=self.proc, cgroups=self.cgroups)

    def memory(self) -> int:
        return usable_memory(proc=self.proc, cgroups=self.cgroups)

    def available(self) -> int:
        return available_memory(proc=self.proc, cgroups=self.cgroups)


@pytest.fixture
def machine(tmp_path: Path) -> _Machine:
    return _Machine(tmp_path)


def test_no_control_groups(machine: _Machine) -> None:
    assert machine.cpu() == _PROCESSORS * 1000
    assert machine.memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_version_2(machine: _Machine) -> None:
    machine.put("proc/self/cgroup", "0::/a/b\n")
    machine.put("cgroup/a/b/cpu.max", "50000 100000\n")
    machine.put("cgroup/a/b/memory.max", "1048576\n")
    assert machine.cpu() == 500
    assert machine.memory() == 1048576


def test_version_2_without_limits(machine: _Machine) -> None:
    machine.put("proc/self/cgroup", "0::/\n")
    machine.put("cgroup/cpu.max", "max 100000\n")
    machine.put("cgroup/memory.max", "max\n")
    assert machine.cpu() == _PROCESSORS * 1000
    assert machine.memory() > 1048576


def test_the_tightest_of_all_groups_above_holds(machine: _Machine) -> None:
    machine.put("proc/self/cgroup", "0::/a/b/c\n")
    machine.put("cgroup/a/b/c/cpu.max", "80000 100000\n")
    machine.put("cgroup/a/cpu.max", "30000 100000\n")
    machine.put("cgroup/a/b/c/memory.max", "3000000\n")
    machine.put("cgroup/a/b/memory.max", "2000000\n")
    assert machine.cpu() == 300
    assert machine.memory() == 2000000


def test_version_1(machine: _Machine) -> None:
    machine.put("proc/self/cgroup", "4:memory:/m\n1:cpu,cpuacct:/c\n0::/\n")
    machine.put("cgroup/cpu/c/cpu.cfs_quota_us", "25000\n")
    machine.put("cgroup/cpu/c/cpu.cfs_period_us", "100000\n")
    machine.put("cgroup/memory/m/memory.limit_in_bytes", "4096000\n")
    assert machine.cpu() == 250
    assert machine.memory() == 4096000


def test_version_1_without_limits(machine: _Machine) -> None:
    machine.put("proc/self/cgroup", "4:memory:/\n1:cpu:/\n")
    machine.put("cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    machine.put("cgroup/cpu/cpu.cfs_period_us", "100000\n")
    machine.put("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert machine.cpu() == _PROCESSORS * 1000
    assert machine.memory() < 9223372036854771712


def test_a_path_that_only_the_host_can_see(machine: _Machine) -> None:
    machine.put("proc/self/cgroup", "0::/docker/0123\n")
    machine.put("cgroup/cpu.max", "10000 100000\n")
    assert machine.cpu() == 100


def test_garbage_is_no_limit(machine: _Machine) -> None:
    machine.put("proc/self/cgroup", "0::/\n")
    machine.put("cgroup/cpu.max", "\n")
    machine.put("cgroup/memory.max", "lots\n")
    assert machine.cpu() == _PROCESSORS * 1000
    assert machine.memory() > 0


def test_disk_where_the_folder_would_be(tmp_path: Path) -> None:
    assert free_disk(tmp_path / "not" / "yet" / "there") > 0


def test_this_machine(tmp_path: Path) -> None:
    there = this_machine(tmp_path)
    assert 0 < there.cpu_millis <= _PROCESSORS * 1000
    assert 0 < there.memory_bytes < 1 << 60
    assert there.disk_bytes > 0


def test_available_memory_is_the_machines(machine: _Machine) -> None:
    assert machine.available() == machine.memory()
    machine.put("proc/meminfo", "MemTotal: 4000 kB\nMemFree: 10 kB\nMemAvailable:     30 kB\n")
    assert machine.available() == 30 * 1024


@pytest.mark.parametrize(
    ("group", "limit", "used"),
    [
        ("0::/a/b\n", "a/memory.max", "a/memory.current"),
        ("4:memory:/a/b\n", "memory/a/memory.limit_in_bytes", "memory/a/memory.usage_in_bytes"),
    ],
)
def test_or_what_a_control_group_above_leaves_without_copies_of_files(
    machine: _Machine, group: str, limit: str, used: str
) -> None:
    machine.put("proc/meminfo", "MemAvailable: 3000 kB\n")
    machine.put("proc/self/cgroup", group)
    machine.put(f"cgroup/{limit}", "1000000\n")
    machine.put(f"cgroup/{used}", "900000\n")
    assert machine.available() == 100_000
    machine.put(
        f"cgroup/{limit.rpartition('/')[0]}/memory.stat",
        "anon 1\ninactive_file 30000\nactive_file 20000\n",
    )
    assert machine.available() == 150_000
    machine.put(f"cgroup/{used}", "1060000\n")
    assert machine.available() == 0
    machine.put(f"cgroup/{limit}", "max\n")
    assert machine.available() == 3000 * 1024
