"""Whatever is sent again, and however it is cut, every line is taken once and in order."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from iris.client.log_positions import LogPositions
from iris.client.views import LogLine, LogStream
from iris.model.ids import TaskId

AT = datetime(2026, 1, 1, tzinfo=UTC)


def lines(attempt: int, start: int, end: int) -> list[LogLine]:
    return [
        LogLine(TaskId("/a/b/0"), attempt, index, AT, LogStream.STDOUT, b"x")
        for index in range(start, end)
    ]


def taken(positions: LogPositions, chunk: list[LogLine]) -> list[int]:
    return [line.index for line in positions.take_new(chunk)]


def test_chunks_may_overlap_repeat_and_leave_gaps() -> None:
    positions = LogPositions()
    assert taken(positions, lines(0, 3, 6)) == [3, 4, 5]
    assert taken(positions, lines(0, 0, 4)) == []
    assert taken(positions, lines(0, 4, 8)) == [6, 7]
    assert taken(positions, lines(0, 10, 11)) == [10]
    assert taken(positions, []) == []


def test_attempts_do_not_disturb_each_other() -> None:
    positions = LogPositions()
    assert taken(positions, lines(0, 0, 2)) == [0, 1]
    assert taken(positions, lines(1, 0, 1)) == [0]
    assert taken(positions, lines(0, 0, 3)) == [2]
    assert len(positions) == 2


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=30))
def test_streams_that_begin_anew_anywhere(breaks: list[tuple[int, int]]) -> None:
    """Each stream starts at or before what was had, as a server does that is asked for all or more
    than that.
    """
    positions = LogPositions()
    had: list[int] = []
    for back, length in [*breaks, (0, 1)]:
        start = max(0, len(had) - back)
        had += taken(positions, lines(0, start, start + length))
    assert had == list(range(len(had)))


def test_lines_between_which_some_were_not_asked_for() -> None:
    positions = LogPositions()
    sparse = lines(0, 3, 5) + lines(0, 8, 9)
    assert taken(positions, sparse) == [3, 4, 8]
    assert taken(positions, lines(0, 0, 2) + lines(0, 8, 10)) == [9]
    assert taken(positions, sparse) == []
