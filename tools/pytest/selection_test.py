"""Tests of what a filter and a shard select."""

import pytest

from tools.pytest.selection import is_in_shard, matches_node_id, select_by_node_id

NODE_ID = "iris/model/ids_test.py::TestJobId::test_parses[a]"


@pytest.mark.parametrize(
    "wanted",
    [
        NODE_ID,
        "ids_test.py::TestJobId::test_parses[a]",
        "model/ids_test.py::TestJobId::test_parses",
        "ids_test.py::TestJobId",
    ],
)
def test_a_node_id_may_be_shortened_at_either_end(wanted: str) -> None:
    assert matches_node_id(NODE_ID, wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        "s_test.py::TestJobId",
        "other_test.py::TestJobId",
        "ids_test.py::TestJob",
        "ids_test.py::test_parses",
        "ids_test.py::TestJobId::test_parses[b]",
        "ids_test.py::TestJobId::test_parse",
    ],
)
def test_a_part_of_a_name_is_another_name(wanted: str) -> None:
    assert not matches_node_id(NODE_ID, wanted)


def test_a_filter_may_name_several() -> None:
    node_ids = ["a_test.py::test_x", "a_test.py::test_y", "b_test.py::test_x"]
    assert select_by_node_id(node_ids, "a_test.py::test_x|b_test.py::test_x") == {
        "a_test.py::test_x",
        "b_test.py::test_x",
    }
    assert select_by_node_id(node_ids, "c_test.py::test_x") == set()


@pytest.mark.parametrize("total", [1, 2, 3, 7])
def test_each_test_is_in_exactly_one_shard(total: int) -> None:
    for position in range(20):
        assert sum(is_in_shard(position, index, total) for index in range(total)) == 1
