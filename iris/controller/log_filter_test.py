"""What is found in lines, and patterns that are refused."""

import pytest

from iris.controller.log_filter import MAX_PATTERN_BYTES, SEARCHED_BYTES, LogFilter
from iris.controller.log_store import LogRun
from iris.model.errors import InvalidArgument

RUN = LogRun(7, 2, b"one\ntwo\nthree\nfour\n\nfive\nsix")


def found(wanted: LogFilter, run: LogRun = RUN) -> dict[int, bytes]:
    return {
        start + at: text
        for start, match in wanted.matches(run)
        for at, text in enumerate(match.text.split(b"\n"))
    }


def test_without_a_wish_all_lines_are_taken_as_they_are() -> None:
    wanted = LogFilter()
    assert wanted.takes_all
    assert list(wanted.matches(RUN)) == [(0, RUN)]


@pytest.mark.parametrize(
    ("grep", "numbers"),
    [
        ("o", [0, 1, 3]),
        ("^f", [3, 5]),
        ("e$", [0, 2, 5]),
        ("^$", [4]),
        ("x|w", [1, 6]),
        ("(?i)FOUR", [3]),
        ("", [0, 1, 2, 3, 4, 5, 6]),
        (".*", [0, 1, 2, 3, 4, 5, 6]),
        ("nowhere", []),
    ],
)
def test_lines_in_which_a_pattern_is_found(grep: str, numbers: list[int]) -> None:
    texts = RUN.text.split(b"\n")
    assert found(LogFilter(grep)) == {number: texts[number] for number in numbers}


def test_lines_that_follow_each_other_stay_together() -> None:
    assert list(LogFilter("o|e").matches(RUN)) == [
        (0, LogRun(7, 2, b"one\ntwo\nthree\nfour")),
        (5, LogRun(7, 2, b"five")),
    ]


def test_streams() -> None:
    assert found(LogFilter(streams=[1, 3])) == {}
    assert len(found(LogFilter(streams=[2]))) == 7
    assert found(LogFilter("six", [2])) == {6: b"six"}
    assert not LogFilter(streams=[2]).takes_all


def test_only_the_beginning_of_a_line_is_searched() -> None:
    run = LogRun(1, 1, b"x" * (SEARCHED_BYTES - 1) + b"ab")
    assert found(LogFilter("xa$"), run)
    assert not found(LogFilter("b"), run)


def test_lines_that_are_no_text_are_searched_too() -> None:
    run = LogRun(1, 1, b"\xff\xfe caf\xc3\xa9")
    assert found(LogFilter("café"), run)
    assert found(LogFilter(r"^\xff"), run)


@pytest.mark.parametrize(
    ("grep", "says"),
    [
        ("a(b", "wrong at position 1: missing ), unterminated subpattern"),
        ("ä)", "wrong at position 1: unbalanced parenthesis"),
        ("[z-a]", "wrong at position 1: bad character range"),
        ("*", "wrong at position 0: nothing to repeat"),
        ("x" * (MAX_PATTERN_BYTES + 1), "has 513 bytes"),
        ("(a+)+b", "repetitions or alternatives within a repetition"),
        ("(a|ab)*c", "repetitions or alternatives within a repetition"),
        ("(?:x?){2,}", "repetitions or alternatives within a repetition"),
        ("((a*){3}){3}", "more than 8 repetitions"),
        ("a*" * 9, "more than 8 repetitions"),
        (r"(a)\1", "a back reference"),
        ("a(?=b)", "look-around"),
        ("(?<!a)b", "look-around"),
    ],
)
def test_patterns_that_are_not_taken(grep: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        LogFilter(grep)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "grep",
    [r"(\d+\.){3}\d+", "(foo|bar)?", "[ab]+c*", "(?:abc)+", "loss.*nan", "a{2,5}", "(?>a+)b"],
)
def test_patterns_that_people_write_are_taken(grep: str) -> None:
    LogFilter(grep)
