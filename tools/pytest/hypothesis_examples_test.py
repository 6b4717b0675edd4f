"""How many examples Hypothesis tries is what the target says: --hypothesis_examples=7 for this one."""

from hypothesis import given, settings
from hypothesis import strategies as st


def test_as_many_as_the_target_says() -> None:
    tried: list[int] = []

    @given(st.integers())
    def try_it(number: int) -> None:
        tried.append(number)

    try_it()
    assert len(tried) == 7


def test_a_test_may_say_otherwise() -> None:
    tried: list[int] = []

    @settings(max_examples=9)
    @given(st.integers())
    def try_it(number: int) -> None:
        tried.append(number)

    try_it()
    assert len(tried) == 9
