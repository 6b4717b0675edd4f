"""When a watchdog looks, what it makes of what it sees, and how it holds back CPU."""

import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from iris.model.resources import GIB, KIB, MIB
from iris.worker.runtime import readings, watchdog
from iris.worker.runtime.limits import CPU, MEMORY, PROCESSES, Excess, TreeLimits
from iris.worker.runtime.watchdog import Watchdog

TOP = 1234


class Tree:
    """A tree as the watchdog sees it, and the signals that it got."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.resident, self.proportional, self.threads, self.cpu = 0, 0, 1, 0.0
        self.signals: list[int] = []
        monkeypatch.setattr(watchdog, "_sample", self._sample)
        monkeypatch.setattr(readings, "proportional_bytes", lambda pid: self.proportional)
        monkeypatch.setattr(watchdog, "tree_cpu_seconds", lambda top, at_most: self.cpu)
        monkeypatch.setattr(watchdog.process_tree, "signal_all", self._signal)
        monkeypatch.setattr(watchdog, "_CPUS", 4)
        monkeypatch.setattr(watchdog, "_COST_SHARE", 0)

    def _sample(self, top: int, most_processes: int) -> watchdog._Sample:
        assert top == TOP
        return watchdog._Sample(frozenset({TOP + 1}), self.threads, self.resident)

    def _signal(self, numbers: Iterable[int]) -> None:
        self.signals += numbers


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(monkeypatch)


def begun(limits: TreeLimits, enforced: Iterable[str] = ()) -> Watchdog:
    dog = Watchdog(limits, frozenset(enforced))
    assert dog.due() is None
    dog.begin(TOP, 100.0)
    return dog


def wait_after_look(dog: Watchdog) -> float:
    now = dog.due()
    assert now is not None
    assert dog.look(now) is None
    due = dog.due()
    assert due is not None
    return due - now


@pytest.mark.parametrize(
    ("used", "seconds"),
    [(0, 0.25), (GIB - 4 * MIB, 0.01), (GIB - 512 * MIB, 0.125), (GIB, 0.01)],
)
def test_it_looks_the_more_often_the_nearer_the_limit(
    tree: Tree, used: int, seconds: float
) -> None:
    tree.resident = used
    dog = begun(TreeLimits(memory_bytes=GIB))
    assert wait_after_look(dog) == pytest.approx(seconds)
    assert dog.peak_memory_bytes == used


def test_it_does_not_look_before_it_is_time(tree: Tree) -> None:
    tree.resident = tree.proportional = 2 * GIB
    dog = begun(TreeLimits(memory_bytes=GIB))
    assert dog.look(100.0) is None
    assert dog.look(dog.due() or 0) == Excess(MEMORY, 2 * GIB)


def test_what_is_shared_counts_once(tree: Tree) -> None:
    tree.resident, tree.proportional = 10 * GIB, GIB - MIB
    dog = begun(TreeLimits(memory_bytes=GIB))
    assert wait_after_look(dog) == pytest.approx(0.01)
    tree.proportional = GIB + MIB
    assert dog.look(dog.due() or 0) == Excess(MEMORY, GIB + MIB)
    assert dog.peak_memory_bytes == GIB + MIB


def test_processes_and_threads_are_counted(tree: Tree) -> None:
    tree.threads = 100
    dog = begun(TreeLimits(processes=100))
    assert wait_after_look(dog) == pytest.approx(0.01)
    tree.threads = 101
    assert dog.look(dog.due() or 0) == Excess(PROCESSES, 101)


def test_what_the_kernel_holds_is_not_looked_at(tree: Tree) -> None:
    tree.threads, tree.resident = 1000, 10 * GIB
    limits = TreeLimits(memory_bytes=GIB, cpu_millis=1000, processes=10)
    assert begun(limits, (MEMORY, CPU, PROCESSES)).due() is None
    dog = begun(limits, (MEMORY, CPU))
    assert dog.look(dog.due() or 0) == Excess(PROCESSES, 1000)


def test_without_limits_it_never_looks(tree: Tree) -> None:
    assert begun(TreeLimits(open_files=10)).due() is None


def test_time_is_up_once(tree: Tree) -> None:
    dog = begun(TreeLimits(wall_ms=5000))
    assert dog.due() == 105.0
    assert dog.look(104.9) is None
    assert dog.look(105.0) == Excess("wall", 5000)
    assert dog.due() is None


def test_one_that_is_to_end_has_all_the_time_and_cpu_that_it_was_given(tree: Tree) -> None:
    dog = begun(TreeLimits(wall_ms=5000, cpu_millis=1000))
    tree.cpu = 10.0
    dog.look(100.1)
    assert tree.signals == [signal.SIGSTOP]
    dog.release()
    assert tree.signals == [signal.SIGSTOP, signal.SIGCONT]
    assert dog.due() is None


def test_a_tree_in_debt_stands_until_it_has_paid(tree: Tree) -> None:
    dog = begun(TreeLimits(cpu_millis=500))
    # Two processes at full speed for 100 ms: 0.2 s used, where 0.05 s came in and 0.05 s were there.
    tree.cpu = 0.2
    assert dog.look(100.1) is None
    assert tree.signals == [signal.SIGSTOP]
    assert dog.due() == pytest.approx(100.1 + 0.2)
    dog.look(100.2)
    assert tree.signals == [signal.SIGSTOP], "not before it is due"
    dog.look(100.301)
    assert tree.signals[-1] == signal.SIGCONT
    # From nothing on: the fastest that four CPUs can use is looked after soon.
    assert dog.due() == pytest.approx(100.301 + 0.02)
    tree.cpu += 0.01
    dog.look(100.35)
    assert tree.signals.count(signal.SIGSTOP) == 1, "it is within its rate"


def test_more_cpu_than_there_is_needs_no_looking(tree: Tree) -> None:
    assert TreeLimits(cpu_millis=1 << 20).cpu_share_millis == 0
    assert begun(TreeLimits(cpu_millis=1 << 20)).due() is None


def test_a_folder_is_measured_whether_or_not_it_is_limited(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * 256)
    dog = begun(TreeLimits(disk_path=bytes(tmp_path)))
    assert wait_after_look(dog) == pytest.approx(5.0)
    assert 64 * KIB <= dog.disk_bytes < MIB
    assert dog.final_disk_excess() is None


def test_a_folder_beyond_its_limit(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * 256)
    dog = begun(TreeLimits(disk_path=bytes(tmp_path), disk_bytes=32 * KIB))
    excess = dog.look(dog.due() or 0)
    assert excess == Excess("disk", dog.disk_bytes)
    assert dog.final_disk_excess() == Excess("disk", max(dog.disk_bytes, 64 * KIB))
