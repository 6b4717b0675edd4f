"""What is wrong with a configuration: every problem at once, each with its place."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from iris.model.errors import InvalidArgument

_MAX_SHOWN = 80
_MAX_NAMES = 12


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where in which text; lines and columns count from 1."""

    source: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        position: Where; None where it is about the configuration as a whole.
        path: The key, from the root: `controller_vm.local.port`; empty for the root itself.
    """

    position: Position | None
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(str(part) for part in (self.position, self.path, self.message) if part)


class ConfigError(InvalidArgument):
    """A configuration that cannot be used. The text has one problem per line, in the order of the
    file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_order))
        super().__init__("\n".join(map(str, self.problems)))


def _order(problem: Problem) -> tuple[str, int, int]:
    at = problem.position
    return (at.source, at.line, at.column) if at else ("", 0, 0)


def shown(value: object) -> str:
    """A bad value for a message: quoted, and cut where it is long."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"


def suggestion(name: str, valid: Iterable[str]) -> str:
    """`did you mean 'port'?`, or what there is to choose from."""
    names = list(valid)
    nearest = difflib.get_close_matches(name, names, n=1)
    if nearest:
        return f"did you mean {nearest[0]!r}?"
    listed = ", ".join(sorted(names)[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")
    return f"valid here: {listed}" if names else "nothing is valid here"
