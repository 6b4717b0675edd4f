"""YAML as a tree of nodes that know their place in the text, before anything is made of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from iris.config.errors import ConfigError, Position, Problem

# A configuration is written by people; anything larger is some other file.
MAX_TEXT_BYTES = 1 << 20
MERGE_TAG = "tag:yaml.org,2002:merge"
STRING_TAG = "tag:yaml.org,2002:str"
_NULL_TAG = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping, and its value."""

    key: str
    key_position: Position
    value: yaml.Node


@dataclass(slots=True)
class MappingEntries:
    """The entries of one mapping, those it merges in (`<<`) included, and what was wrong with its
    keys.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[tuple[Position, str]] = field(default_factory=list)


def compose(text: str, source: str) -> yaml.Node | None:
    """The root node of the one document in `text`; None if it is empty. Raises ConfigError for what
    is not YAML.
    """
    if len(text) > MAX_TEXT_BYTES:
        what = f"has more than {MAX_TEXT_BYTES} characters; is this a configuration?"
        raise ConfigError([Problem(None, "", f"{source}: {what}")])
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError([Problem(_at(mark, source), "", f"not valid YAML: {what}")]) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        at = Position(source, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        raise ConfigError(
            [Problem(at, "", f"not valid YAML: character {error.character:#x} is not allowed")]
        ) from error
    except RecursionError as error:
        raise ConfigError(
            [Problem(Position(source, 1, 1), "", "not valid YAML: nested too deeply")]
        ) from error


def position_of(node: yaml.Node, source: str) -> Position:
    """Where a node begins."""
    return _at(node.start_mark, source)


def is_null(node: yaml.Node) -> bool:
    """Whether nothing was written, or `null`."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL_TAG


def describe(node: yaml.Node) -> str:
    """A node's value for a message that says that it is the wrong thing."""
    match node:
        case yaml.MappingNode():
            return "a mapping"
        case yaml.SequenceNode():
            return "a list"
        case _ if is_null(node):
            return "nothing"
        case _ if node.tag == STRING_TAG:
            return repr(node.value)
        case _:
            return str(node.value)


def entries_of(node: yaml.MappingNode, source: str) -> MappingEntries:
    """The entries of a mapping. A key of its own comes before one that is merged in; of two equal
    ones the first stands.
    """
    result = MappingEntries()
    _collect(node, source, result, {})
    return result


def _collect(
    node: yaml.MappingNode,
    source: str,
    result: MappingEntries,
    visited: dict[int, yaml.MappingNode],
) -> None:
    # A mapping merges in each other one once: anchors may name themselves, or each other many times
    # over.
    visited[id(node)] = node
    own: dict[str, Entry] = {}
    merged: list[yaml.Node] = []
    for key, value in node.value:
        at = position_of(key, source)
        if key.tag == MERGE_TAG:
            merged.append(value)
        elif not isinstance(key, yaml.ScalarNode):
            result.problems.append((at, "a key has to be a plain name"))
        elif key.value in own:
            first = own[key.value].key_position
            result.problems.append(
                (at, f"duplicate key {key.value!r}, it stands in line {first.line} already")
            )
        else:
            own[key.value] = Entry(key.value, at, value)
    for name, entry in own.items():
        result.entries.setdefault(name, entry)
    for value in merged:
        for other in _merged_mappings(value):
            if not isinstance(other, yaml.MappingNode):
                result.problems.append(
                    (position_of(other, source), f"'<<' merges mappings, found {describe(other)}")
                )
            elif id(other) not in visited:
                _collect(other, source, result, visited)


def _merged_mappings(value: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(value, yaml.SequenceNode):
        yield from value.value
    else:
        yield value


def _at(mark: yaml.Mark | None, source: str) -> Position:
    return Position(source, mark.line + 1, mark.column + 1) if mark else Position(source, 1, 1)
