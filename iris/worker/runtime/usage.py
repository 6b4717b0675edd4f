"""What a process tree uses, read from /proc."""

from dataclasses import dataclass
from pathlib import Path

from iris.worker.runtime import process_tree, readings


@dataclass(frozen=True, slots=True)
class TreeSample:
    """One look at a tree; processes that ended while it was taken are missing from it."""

    cpu_seconds: float
    memory_bytes: int
    processes: int


# What cannot be had back by forgetting copies of files, by control group version.
_HELD = {b"total_rss", b"total_shmem"}, {b"anon", b"shmem"}


def sample_below(
    supervisor: int, memory_group: Path | None = None, earlier_ticks: int = 0
) -> TreeSample:
    """All processes below a supervisor, without itself. About 0.1 ms a process.

    Memory is what their control group counts, if they have one. Otherwise, of several processes, it
    is the sum of their proportional sets: resident sets would count what forks share many times
    over. `earlier_ticks` of CPU are of the supervisor's earlier trees.
    """
    tree = process_tree.descendants(supervisor)
    memory = readings.resident_bytes if len(tree) == 1 else readings.proportional_bytes
    # What the supervisor has waited for were members of the tree.
    ticks = sum(sum(readings.cpu_ticks(pid)) for pid in tree) + readings.cpu_ticks(supervisor)[1]
    held = _group_bytes(memory_group) if memory_group is not None else None
    return TreeSample(
        max(0, ticks - earlier_ticks) / readings.TICKS_PER_SECOND,
        sum(map(memory, tree)) if held is None else held,
        len(tree),
    )


def _group_bytes(group: Path) -> int | None:
    """None if it is gone."""
    lines = process_tree.read_file(str(group / "memory.stat")).splitlines()
    counts = {name: int(count) for name, _, count in (line.partition(b" ") for line in lines)}
    for held in _HELD:
        if held <= counts.keys():
            return sum(counts[name] for name in held)
    return None
