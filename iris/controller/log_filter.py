"""Which log lines a caller wants: those of some streams, and those in which a pattern is found."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from iris.controller.log_store import LogRun
from iris.model.errors import InvalidArgument

# Python's matcher backtracks, so a pattern must not be able to make much of a line: it is short, it
# nests no repetitions, and it sees only the beginning of a line.
MAX_PATTERN_BYTES = 512
SEARCHED_BYTES = 4096
_MAX_CHOICES = 8
_MANY = float("inf")

_PARSER: Any = re._parser  # type: ignore[attr-defined]
_REPEATS = {_PARSER.MAX_REPEAT, _PARSER.MIN_REPEAT, _PARSER.POSSESSIVE_REPEAT}
_CHOICES = _REPEATS | {_PARSER.BRANCH}
_REFUSED = {
    _PARSER.ASSERT: "look-around",
    _PARSER.ASSERT_NOT: "look-around",
    _PARSER.GROUPREF: "a back reference",
    _PARSER.GROUPREF_EXISTS: "a back reference",
}


class LogFilter:
    """Chooses lines; an unset one takes all.

    Args:
        grep: A regular expression on bytes, Python's syntax; searched for in the first
            SEARCHED_BYTES of a line. Empty: all lines.
        streams: Values of iris.v1.LogStream; empty: all.

    Raises:
        InvalidArgument: The pattern is wrong, with the position, or could take for ever.
    """

    def __init__(self, grep: str = "", streams: Collection[int] = ()) -> None:
        self._pattern = _compiled(grep) if grep else None
        self._streams = frozenset(streams)

    @property
    def takes_all(self) -> bool:
        """Whether it leaves nothing out."""
        return self._pattern is None and not self._streams

    def matches(self, run: LogRun) -> Iterator[tuple[int, LogRun]]:
        """What is wanted of a run: parts of it, each with the number of its first line in it."""
        if self._streams and run.stream not in self._streams:
            return
        if self._pattern is None:
            yield 0, run
            return
        search = self._pattern.search
        texts = run.text.split(b"\n")
        hits = [at for at, text in enumerate(texts) if search(text, 0, SEARCHED_BYTES)]
        if len(hits) == len(texts):
            yield 0, run
            return
        start = 0
        for position, hit in enumerate(hits, start=1):
            if position == len(hits) or hits[position] != hit + 1:
                first = hits[start]
                yield first, run._replace(text=b"\n".join(texts[first : hit + 1]))
                start = position


def _compiled(grep: str) -> re.Pattern[bytes]:
    pattern = grep.encode(errors="surrogateescape")
    if len(pattern) > MAX_PATTERN_BYTES:
        raise InvalidArgument(
            f"The pattern has {len(pattern)} bytes.", hint=f"At most {MAX_PATTERN_BYTES} are taken."
        )
    try:
        problem = _danger(_PARSER.parse(pattern))
        if problem:
            raise InvalidArgument(
                f"The pattern {grep!r} has {problem}, which could take for ever.",
                hint="Say it without, or filter what you get.",
            )
        return re.compile(pattern)
    except re.error as error:
        at = len(pattern[: error.pos or 0].decode(errors="replace"))
        raise InvalidArgument(
            f"The pattern {grep!r} is wrong at position {at}: {error.msg}.",
            hint="A character that has a meaning, such as ( or *, is taken as itself after a \\.",
        ) from error
    except (OverflowError, RecursionError) as error:
        raise InvalidArgument(f"The pattern {grep!r} is too much: {error}.") from error


def _danger(parsed: Any) -> str:
    """What in a pattern could take for ever; empty if nothing could."""
    choices = 0.0
    for operation, times in _operations(parsed, 1):
        if operation in _REFUSED:
            return _REFUSED[operation]
        if operation in _CHOICES:
            if times == _MANY:
                return "repetitions or alternatives within a repetition"
            choices += times
    return (
        f"more than {_MAX_CHOICES} repetitions and alternatives" if choices > _MAX_CHOICES else ""
    )


def _operations(parsed: Any, times: float) -> Iterator[tuple[Any, float]]:
    """Every operation that leaves the matcher a choice, or is refused, with how often it is tried in
    one match.
    """
    for operation, argument in parsed:
        within = times
        if operation in _REPEATS:
            least, most, _ = argument
            if least != most:
                yield operation, times
                within = times if most == 1 else _MANY
            else:
                within = times * least
        else:
            yield operation, times
        for part in _parts(operation, argument):
            yield from _operations(part, within)


def _parts(operation: Any, argument: Any) -> list[Any]:
    if operation in _REPEATS:
        return [argument[2]]
    if operation is _PARSER.SUBPATTERN:
        return [argument[3]]
    if operation is _PARSER.ATOMIC_GROUP:
        return [argument]
    if operation is _PARSER.BRANCH:
        return list(argument[1])
    return []
