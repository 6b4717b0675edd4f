"""The bounds hold against a tree that breaks them."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from iris.model.errors import InvalidArgument
from iris.model.resources import MIB
from iris.smoke.bounds import TreeBounds, limit_cpus

HOG = "import sys; hog = bytearray(int(sys.argv[1])); print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def own_cpus() -> Iterator[frozenset[int]]:
    before = os.sched_getaffinity(0)
    yield frozenset(before)
    os.sched_setaffinity(0, before)


def start_hog(size: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", HOG, str(size)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_tree_over_the_memory_limit_is_killed_and_named(own_cpus: frozenset[int]) -> None:
    violated = threading.Event()
    problems: list[str] = []

    def on_violation(problem: str) -> None:
        problems.append(problem)
        violated.set()

    bounds = TreeBounds(cpus=own_cpus, memory_limit=300 * MIB, on_violation=on_violation)
    bounds.start()
    with start_hog(400 * MIB) as hog:
        assert violated.wait(30)
        assert hog.wait(30) == -9
    report = bounds.stop()
    assert report.peak_memory > 300 * MIB
    assert report.violation == problems[0]
    assert str(300 * MIB) in report.violation


def test_a_tree_within_the_limit_is_left_alone_and_measured(own_cpus: frozenset[int]) -> None:
    bounds = TreeBounds(cpus=own_cpus, memory_limit=1024 * MIB, on_violation=pytest.fail)
    with start_hog(64 * MIB) as hog:
        assert hog.stdout is not None
        assert hog.stdout.readline() == "ready\n"
        bounds.start()
        report = bounds.stop()
        assert hog.poll() is None
        assert hog.stdin is not None
        hog.stdin.close()
    assert report.violation == ""
    assert report.samples >= 1
    assert report.peak_processes == 2
    assert report.peak_memory > 64 * MIB


def test_a_process_outside_the_allowed_processors_is_a_violation(own_cpus: frozenset[int]) -> None:
    violated = threading.Event()
    bounds = TreeBounds(
        cpus=frozenset({-1}), memory_limit=1 << 40, on_violation=lambda _: violated.set()
    )
    bounds.start()
    assert violated.wait(30)
    assert "may run on processors" in bounds.stop().violation


def test_children_inherit_the_cpu_limit(own_cpus: frozenset[int]) -> None:
    allowed = limit_cpus(1)
    assert len(allowed) == 1
    script = "import os; print(len(os.sched_getaffinity(0)))"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "1\n"


def test_more_processors_than_there_are_means_all_of_them(own_cpus: frozenset[int]) -> None:
    assert limit_cpus(100_000) == own_cpus


def test_no_processor_at_all_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="cpu_limit is 0"):
        limit_cpus(0)
