"""Views of many things, made again only where something has changed."""

from hypothesis import given
from hypothesis import strategies as st

from iris.controller.state.view_list import ViewList


@given(st.lists(st.tuples(st.sampled_from(["change", "remove", "look"]), st.integers(0, 5))))
def test_every_one_is_shown_once_as_it_was_when_it_last_changed(
    steps: list[tuple[str, int]],
) -> None:
    versions: dict[int, int] = {}
    views: ViewList[int, tuple[int, int]] = ViewList(lambda key: (key, versions[key]))
    for number, (step, key) in enumerate(steps):
        if step == "change":
            versions[key] = number
            views.change(key)
        elif step == "remove":
            versions.pop(key, None)
            views.remove(key)
        else:
            shown = views.views()
            assert sorted(shown) == sorted(versions.items())
            assert views.views() is shown


def test_only_what_has_changed_is_made_again() -> None:
    made: list[int] = []
    views: ViewList[int, object] = ViewList(lambda key: made.append(key) or object())
    for key in range(5):
        views.change(key)
    before = views.views()
    assert made == [0, 1, 2, 3, 4]
    views.change(2)
    views.remove(0)
    after = views.views()
    assert made == [0, 1, 2, 3, 4, 2]
    assert (after[0], after[1], after[3:]) == (before[4], before[1], before[3:4])
    assert len(before) == 5
