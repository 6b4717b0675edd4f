"""Log lines as they travel and lie on the disk: in runs, so that nothing is done line by line."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class LogRun(NamedTuple):
    """Consecutive lines of one stream with one time; at least one line.

    Attributes:
        time_ns: Unix time.
        stream: A value of iris.v1.LogStream.
        text: Any bytes; a newline between each line and the next, none at the end.
    """

    time_ns: int
    stream: int
    text: bytes

    @property
    def lines(self) -> int:
        """How many there are."""
        return self.text.count(b"\n") + 1

    def part(self, first: int, end: int) -> "LogRun":
        """Its lines from number `first` on, up to but without number `end`; at least one."""
        texts = self.text.split(b"\n")[first:end]
        return self._replace(text=b"\n".join(texts))


class LogPart(NamedTuple):
    """Consecutive lines of an attempt's log; `first_index` is that of the first."""

    first_index: int
    runs: list[LogRun]

    @property
    def next_index(self) -> int:
        """The index after the last line."""
        return self.first_index + count_lines(self.runs)


def count_lines(runs: Iterable[LogRun]) -> int:
    """How many lines there are in all of them."""
    return sum(run.lines for run in runs)


def skip_lines(runs: Sequence[LogRun], lines: int) -> Sequence[LogRun]:
    """The runs without their first `lines` lines."""
    if lines <= 0:
        return runs
    for position, run in enumerate(runs):
        if lines < (count := run.lines):
            rest = runs[position + 1 :]
            return [run.part(lines, count), *rest] if lines else runs[position:]
        lines -= count
    return []
