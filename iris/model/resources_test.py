"""Arithmetic is exact, comparison looks at everything, and amounts read as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.model.resources import (
    GIB,
    KIB,
    MIB,
    Resources,
    accelerators_of,
    format_amount,
    format_bytes,
)

AMOUNTS = st.integers(0, 5)
RESOURCES = st.builds(
    lambda cpu, memory, disk, counts, ports: Resources(
        cpu, memory, disk, accelerators_of(counts), ports
    ),
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    st.dictionaries(st.sampled_from(("gpu", "tpu/a", "tpu/b")), AMOUNTS),
    AMOUNTS,
)


@given(RESOURCES, RESOURCES)
def test_what_is_added_can_be_taken_away(one: Resources, other: Resources) -> None:
    assert one + other == other + one
    assert one + other - other == one


@given(RESOURCES, st.integers(0, 4))
def test_times_is_adding_again_and_again(one: Resources, times: int) -> None:
    total = Resources()
    for _ in range(times):
        total += one
    assert one * times == total


@given(RESOURCES, RESOURCES)
def test_fits_exactly_when_nothing_is_short(needed: Resources, free: Resources) -> None:
    assert needed.fits_in(free) == (not needed.shortages(free))
    assert needed.fits_in(free) == all(amount >= 0 for _, amount in (free - needed).amounts())


@given(RESOURCES, RESOURCES, st.integers(0, 6))
def test_copies_are_as_many_as_fit(needed: Resources, free: Resources, limit: int) -> None:
    copies = needed.copies_in(free, limit)
    assert 0 <= copies <= limit
    assert (needed * copies).fits_in(free)
    assert copies == limit or not (needed * (copies + 1)).fits_in(free)


def test_no_copies_of_what_was_overdrawn() -> None:
    assert Resources(1).copies_in(Resources(-3), 5) == 0


def test_what_is_not_needed_bounds_nothing() -> None:
    assert Resources(0, 0, 0, (("gpu", 0),)).copies_in(Resources(), 5) == 5


@given(RESOURCES)
def test_accelerators_are_sorted_and_never_zero(one: Resources) -> None:
    kinds = [kind for kind, _ in one.accelerators]
    assert kinds == sorted(kinds)
    assert all(count for _, count in (one - one + one).accelerators)
    assert (one - one).accelerators == ()


def test_shortages_name_needed_and_free() -> None:
    needed = Resources(2000, GIB, 0, (("gpu", 2), ("tpu", 1)), ports=2)
    free = Resources(1000, GIB, 5, (("gpu", 1),))
    assert needed.shortages(free) == [
        ("cpu", 2000, 1000),
        ("ports", 2, 0),
        ("gpu", 2, 1),
        ("tpu", 1, 0),
    ]


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (KIB, "1 KiB"),
        (3 * KIB // 2, "1.5 KiB"),
        (10 * MIB, "10 MiB"),
        (GIB, "1 GiB"),
        (100 * GIB, "100 GiB"),
        (GIB + GIB // 3, "1.33 GiB"),
        (-2 * GIB, "-2 GiB"),
    ],
)
def test_bytes_for_people(amount: int, text: str) -> None:
    assert format_bytes(amount) == text


@pytest.mark.parametrize(
    ("name", "amount", "text"),
    [
        ("cpu", 1000, "1 core"),
        ("cpu", 0, "0 cores"),
        ("cpu", 10_000, "10 cores"),
        ("cpu", 250, "0.25 cores"),
        ("cpu", 1, "0.001 cores"),
        ("memory", 2 * GIB, "2 GiB memory"),
        ("disk", 0, "0 B disk"),
        ("tpu/v5litepod-16", 4, "4 tpu/v5litepod-16"),
        ("ports", 1, "1 port"),
        ("ports", 2, "2 ports"),
    ],
)
def test_amounts_for_people(name: str, amount: int, text: str) -> None:
    assert format_amount(name, amount) == text


def test_resources_for_people() -> None:
    some = Resources(1500, 2 * GIB, 0, (("gpu", 1),), ports=3)
    assert str(some) == "1.5 cores, 2 GiB memory, 3 ports, 1 gpu"
    assert str(Resources()) == "nothing"
