"""Tests of sizes, cores and durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.config.quantities import (
    format_cpu,
    format_duration,
    format_size,
    parse_cpu,
    parse_duration,
    parse_size,
)
from iris.model.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1024", 1024),
        ("1B", 1),
        ("64GB", 64 * 10**9),
        ("64GiB", 64 * 2**30),
        ("64 GiB", 64 * 2**30),
        ("1.5MiB", 3 * 2**19),
        ("512mib", 512 * 2**20),
        ("2TB", 2 * 10**12),
        ("0.1GiB", 107374182),
        (" 7KB ", 7000),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1", "1G", "64Gi", "1.GiB", "1e9", "0x10", "1GiBs", "1 0MB"]
)
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2", 2000), ("1.5", 1500), ("0.001", 1), ("500m", 500), ("1m", 1), ("0", 0)],
)
def test_cores(text: str, expected: int) -> None:
    assert parse_cpu(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a number of cores"),
        ("two", "is not a number of cores"),
        ("-1", "is not a number of cores"),
        ("0.0001", "finer than a thousandth"),
        ("0.5m", "finer than a thousandth"),
        ("9" * 30, "too large"),
    ],
)
def test_what_is_not_a_number_of_cores(text: str, problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        parse_cpu(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", timedelta(seconds=5)),
        ("250ms", timedelta(milliseconds=250)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1d2h3m4s5ms", timedelta(days=1, hours=2, minutes=3, seconds=4, milliseconds=5)),
        ("0s", timedelta()),
        ("1.5s", timedelta(milliseconds=1500)),
        ("0.000001s", timedelta(microseconds=1)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "-5s", "5m5h", "5s5s", "1:30", "5sec", "5S", "1w"]
)
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a duration"):
        parse_duration(text)


def test_a_duration_no_clock_can_hold() -> None:
    with pytest.raises(InvalidArgument, match="too long"):
        parse_duration("40000d")


@given(st.integers(0, 2**63 - 1))
def test_sizes_come_back(amount: int) -> None:
    assert parse_size(format_size(amount)) == amount


@given(st.integers(0, 2**40))
def test_cores_come_back(millis: int) -> None:
    assert parse_cpu(format_cpu(millis)) == millis


@given(st.timedeltas(timedelta(), timedelta(days=36524)))
def test_durations_come_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(), "0s"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(milliseconds=250), "0.25s"),
        (timedelta(days=1, seconds=1), "1d1s"),
    ],
)
def test_durations_read_well(duration: timedelta, expected: str) -> None:
    assert format_duration(duration) == expected
