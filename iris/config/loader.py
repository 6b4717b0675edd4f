"""YAML text -> a complete message: the node tree is walked against the schema, all problems are
collected, defaults filled in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

import yaml
from google.protobuf.message import Message

from iris.config.errors import Position, Problem, suggestion
from iris.config.scalars import BadValue, PathBase, Value, read_scalar
from iris.config.schema import Container, FieldSchema, Kind, schema_of
from iris.config.yaml_nodes import Entry, compose, describe, entries_of, is_null, position_of

M = TypeVar("M", bound=Message)

_DEFAULTS = "<default>"
# Defaults hold no relative paths, so this is never joined with anything.
_NO_BASE = PathBase(Path("/"), Path)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """What was read.

    Attributes:
        message: Complete: what the text does not name has its default. With problems, as much as
            could be read.
        positions: Where each key stands that the text names, by its path.
    """

    message: M
    positions: Mapping[str, Position]
    problems: tuple[Problem, ...]

    def position(self, path: str) -> Position | None:
        """Where a key stands; for one that is not in the text, the nearest one above it."""
        while path not in self.positions:
            if not path:
                return None
            path = path.rpartition(".")[0]
        return self.positions[path]

    def is_sound(self, path: str) -> bool:
        """Whether the value there was read without a problem, so that it can be compared with
        others.
        """
        return not any(problem.path == path for problem in self.problems)


def load_message(message_type: type[M], text: str, source: str, base: PathBase) -> Loaded[M]:
    """Reads a message. Raises ConfigError only where the text is not YAML; other problems are in
    the result.
    """
    root = compose(text, source)
    message = message_type()
    walker = _Walker(source, base)
    walker.positions[""] = position_of(root, source) if root else Position(source, 1, 1)
    walker.read_message(message, root, "")
    return Loaded(message, walker.positions, tuple(walker.problems))


def default_message(message_type: type[M]) -> M:
    """A message as if nothing had been named. For one with required fields those stay unset."""
    message = message_type()
    _Walker(_DEFAULTS, _NO_BASE).read_message(message, None, "")
    return message


@dataclass(slots=True)
class _Walker:
    source: str
    base: PathBase
    positions: dict[str, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def read_message(self, message: Message, node: yaml.Node | None, path: str) -> None:
        """Fills `message` from a mapping; None and null are empty ones."""
        schema = schema_of(message.DESCRIPTOR)
        message.SetInParent()
        entries = self._entries(node, path)
        if entries is None:
            # The one problem is noted; with the defaults in place no rule finds a second one.
            _Walker(_DEFAULTS, _NO_BASE).read_message(message, None, path)
            return
        for name, entry in entries.items():
            if name not in schema.fields:
                self._problem(
                    entry.key_position,
                    _join(path, name),
                    f"unknown key {name!r}, {suggestion(name, schema.fields)}",
                )
        for name, field_schema in schema.fields.items():
            if name in entries:
                self.positions[_join(path, name)] = entries[name].key_position
                self._read_field(message, field_schema, entries[name].value, _join(path, name))
            else:
                self._leave_out(message, field_schema, path)
        for members in schema.required_oneofs.values():
            self._check_oneof(members, entries, path)

    def _read_field(
        self, message: Message, schema: FieldSchema, node: yaml.Node, path: str
    ) -> None:
        match schema.container:
            case Container.SINGLE if schema.kind is Kind.MESSAGE:
                self.read_message(getattr(message, schema.name), node, path)
            case Container.SINGLE:
                value = self._scalar(schema, node, path)
                if value is not None:
                    _set(message, schema, value)
            case Container.LIST:
                self._read_list(message, schema, node, path)
            case Container.MAP:
                self._read_map(message, schema, node, path)

    def _read_list(self, message: Message, schema: FieldSchema, node: yaml.Node, path: str) -> None:
        if not isinstance(node, yaml.SequenceNode):
            hint = "; write [] for none" if is_null(node) else ""
            self._problem_at(node, path, f"expected a list, found {describe(node)}{hint}")
            return
        values = getattr(message, schema.name)
        for index, item in enumerate(node.value):
            item_path = f"{path}[{index}]"
            self.positions[item_path] = position_of(item, self.source)
            if schema.kind is Kind.MESSAGE:
                self.read_message(values.add(), item, item_path)
            else:
                value = self._scalar(schema, item, item_path)
                if value is not None:
                    values.append(value)

    def _read_map(self, message: Message, schema: FieldSchema, node: yaml.Node, path: str) -> None:
        values = getattr(message, schema.name)
        for key, entry in (self._entries(node, path) or {}).items():
            entry_path = _join(path, key)
            self.positions[entry_path] = entry.key_position
            if schema.key_pattern is not None and not schema.key_pattern.fullmatch(key):
                self._problem(
                    entry.key_position,
                    entry_path,
                    f"{key!r} does not match {schema.key_pattern.pattern}",
                )
            if schema.kind is Kind.MESSAGE:
                self.read_message(values[key], entry.value, entry_path)
            else:
                value = self._scalar(schema, entry.value, entry_path)
                if value is not None:
                    values[key] = value

    def _leave_out(self, message: Message, schema: FieldSchema, path: str) -> None:
        """What becomes of a field that the text does not name."""
        if schema.required:
            at = self.positions.get(path)
            self._problem(
                at, path, f"{schema.name!r} is missing; {_expected(schema)} is needed here"
            )
        elif schema.default is not None:
            node = yaml.compose(schema.default, Loader=yaml.SafeLoader)
            assert node is not None
            # The schema's own spelling: a bad one is a bug of ours and must not be taken for the
            # user's.
            defaults = _Walker(_DEFAULTS, _NO_BASE)
            defaults._read_field(message, schema, node, schema.name)
            assert not defaults.problems, defaults.problems
        elif (
            schema.container is Container.SINGLE
            and schema.kind is Kind.MESSAGE
            and not schema.oneof
        ):
            self.read_message(getattr(message, schema.name), None, _join(path, schema.name))

    def _check_oneof(
        self, members: tuple[str, ...], entries: Mapping[str, Entry], path: str
    ) -> None:
        named = [name for name in entries if name in members]
        if not named:
            choices = ", ".join(members)
            self._problem(
                self.positions.get(path), path, f"one of these keys is needed here: {choices}"
            )
        for second in named[1:]:
            self._problem(
                entries[second].key_position,
                _join(path, second),
                f"{second!r} and {named[0]!r} exclude each other; name one of them",
            )

    def _entries(self, node: yaml.Node | None, path: str) -> dict[str, Entry] | None:
        """The entries of a mapping; None, and a problem, for what is none."""
        if node is None or is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self._problem_at(node, path, f"expected a mapping, found {describe(node)}")
            return None
        found = entries_of(node, self.source)
        for at, message in found.problems:
            self._problem(at, path, message)
        return found.entries

    def _scalar(self, schema: FieldSchema, node: yaml.Node, path: str) -> Value | None:
        try:
            return read_scalar(schema, node, self.base)
        except BadValue as error:
            self._problem_at(node, path, str(error))
            return None

    def _problem_at(self, node: yaml.Node, path: str, message: str) -> None:
        self._problem(position_of(node, self.source), path, message)

    def _problem(self, at: Position | None, path: str, message: str) -> None:
        self.problems.append(Problem(at, path, message))


def _expected(schema: FieldSchema) -> str:
    if schema.container is Container.SINGLE:
        return str(schema.kind.value)
    return str(schema.container.value)


def _set(message: Message, schema: FieldSchema, value: Value) -> None:
    if isinstance(value, timedelta):
        duration = getattr(message, schema.name)
        duration.SetInParent()
        duration.FromTimedelta(value)
    else:
        setattr(message, schema.name, value)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
