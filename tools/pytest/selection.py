"""Which of the collected tests run: the filter first, then the shard."""

from collections.abc import Sequence


def matches_node_id(node_id: str, wanted: str) -> bool:
    """Whether a test is one that a filter with `::` in it names.

    The file may be shortened from the left to any path suffix, and the id from the right to a class,
    or to a test without its parameters.

    Args:
        node_id: pytest's, as `iris/model/ids_test.py::TestJobId::test_parses[a]`.
        wanted: for example `ids_test.py::TestJobId`.
    """
    file, *names = node_id.split("::")
    wanted_file, *wanted_names = wanted.split("::")
    if file != wanted_file and not file.endswith("/" + wanted_file):
        return False
    if names[: len(wanted_names)] == wanted_names:
        return True
    unparametrised = [*names[:-1], names[-1].split("[")[0]]
    return unparametrised == wanted_names


def select_by_node_id(node_ids: Sequence[str], test_filter: str) -> set[str]:
    """The tests that a filter of one or more node ids, separated by blanks or `|`, names."""
    wanted = test_filter.replace("|", " ").split()
    return {node_id for node_id in node_ids if any(matches_node_id(node_id, w) for w in wanted)}


def is_in_shard(position: int, shard_index: int, shard_total: int) -> bool:
    """Whether the test at a position of the (filtered) order runs in a shard: dealt like cards."""
    return position % shard_total == shard_index
