"""Ready tasks, kept as a range as long as they are one, are what a plain list would say."""

from hypothesis import given
from hypothesis import strategies as st

from iris.controller.state.ready import NONE_READY, Scattered, with_, without


@given(st.integers(0, 8), st.lists(st.integers(0, 7), max_size=40))
def test_it_is_what_a_list_would_say(size: int, touched: list[int]) -> None:
    """An index that is there leaves; one that is not comes to the end."""
    ready, plain = range(size), list(range(size))
    for index in touched:
        if index >= size:
            continue
        if index in plain:
            plain.remove(index)
            ready = without(ready, index)
        else:
            plain.append(index)
            ready = with_(ready, index)
        assert list(ready) == plain
        assert len(ready) == len(plain)
        assert bool(ready) == bool(plain)
        assert [one for one in range(size) if one in ready] == sorted(plain)


def test_what_leaves_at_the_ends_or_comes_in_order_costs_nothing() -> None:
    ready = range(1_000_000)
    for index in range(1_000):
        ready = without(ready, index)
        ready = without(ready, 999_999 - index)
    assert ready == range(1_000, 999_000)
    for index in range(999_000, 999_010):
        ready = with_(ready, index)
    assert ready == range(1_000, 999_010)
    assert with_(NONE_READY, 7) == range(7, 8)


def test_the_front_is_found_at_once_however_much_left_out_of_turn() -> None:
    ready = range(1_000)
    for index in range(1, 999):
        ready = without(ready, index)
    assert isinstance(ready, Scattered)
    ready = without(ready, 0)
    assert isinstance(ready, Scattered)
    assert (list(ready), ready.span, ready.left) == ([999], range(999, 1000), set())
