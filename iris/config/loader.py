"""YAML text -> a complete message: the node tree is walked against the schema, all problems are
collected, defaults filled in.

A mapping may be written in several places: a group's `ssh` in the group, in `scale_group_defaults`
and at the top. Those are its layers, the strongest first. They are laid over each other here, before
anything is read, so that a required key may stand in any of them and every value keeps the place
where it was really written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

import yaml
from google.protobuf.message import Message

from iris.config.errors import Position, Problem, suggestion
from iris.config.older import modernise
from iris.config.scalars import BadValue, Surroundings, Value, read_scalar
from iris.config.schema import Container, FieldSchema, Kind, Variables, schema_of
from iris.config.variables import variables_in
from iris.config.yaml_nodes import Entry, compose, describe, entries_of, is_null, position_of

M = TypeVar("M", bound=Message)

_DEFAULTS = "<default>"
# Defaults hold no relative paths, so this is never joined with anything.
_NOWHERE = Surroundings(Path("/"), Path)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written.

    Attributes:
        path: The key that was written there: of a value of a group that comes from elsewhere, say
            `scale_group_defaults.vm.cpu`.
        text: What was written, if it names variables of the environment; else empty.
    """

    position: Position
    path: str
    text: str = ""

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the environment's variables that the value was made with."""
        return variables_in(self.text)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[M]):
    """What was read.

    Attributes:
        message: Complete: what the text does not name has its default. With problems, as much as
            could be read.
        origins: Where each value was written that the text names, by its path.
        warnings: Older spellings that were accepted.
        unsound: The paths of what could not be read.
    """

    message: M
    origins: Mapping[str, Origin]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    unsound: frozenset[str]

    def position(self, path: str) -> Position | None:
        """Where a key stands; for one that is not in the text, the nearest one above it."""
        while path not in self.origins:
            if not path:
                return None
            path = path.rpartition(".")[0]
        return self.origins[path].position

    def is_sound(self, path: str) -> bool:
        """Whether the value there was read without a problem, so that it can be compared with
        others.
        """
        return path not in self.unsound


def load_message(
    message_type: type[M], text: str, source: str, surroundings: Surroundings
) -> Loaded[M]:
    """Reads a message. Raises ConfigError only where the text is not YAML; other problems are in
    the result.
    """
    root = compose(text, source)
    message = message_type()
    older = modernise(schema_of(message_type.DESCRIPTOR), root, source)
    walker = _Walker(source, surroundings, problems=older.problems)
    walker.note_origin("", position_of(root, source) if root else Position(source, 1, 1))
    if isinstance(root, yaml.MappingNode):
        walker.top.update(entries_of(root, source).entries)
    walker.read_message(message, [_Layer(root, "")], "")
    unsound = walker.unsound | {problem.path for problem in walker.problems}
    return Loaded(
        message,
        walker.origins,
        tuple(walker.problems),
        tuple(older.warnings),
        frozenset(unsound),
    )


def default_message(message_type: type[M]) -> M:
    """A message as if nothing had been named. For one with required fields those stay unset."""
    message = message_type()
    _Walker(_DEFAULTS, _NOWHERE).read_message(message, [], "")
    return message


@dataclass(frozen=True, slots=True)
class _Layer:
    """One place where a mapping is written, and the path of that place."""

    node: yaml.Node | None
    path: str


@dataclass(frozen=True, slots=True)
class _Said:
    """One place where a key is written, and its path there."""

    entry: Entry
    path: str

    @property
    def layer(self) -> _Layer:
        return _Layer(self.entry.value, self.path)


@dataclass(slots=True)
class _Walker:
    """Reads messages. What stands in a layer below a mapping's own is read, and its problems
    reported, where it is written; they are not reported again.
    """

    source: str
    surroundings: Surroundings
    top: dict[str, Entry] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unsound: set[str] = field(default_factory=set)
    partial: bool = False

    def note_origin(self, path: str, at: Position, written: str = "", text: str = "") -> None:
        """Where a value was written, and as what key if that is not its own."""
        self.origins[path] = Origin(at, written or path, text)

    def read_message(self, message: Message, layers: Sequence[_Layer], path: str) -> None:
        """Fills `message` from mappings, the strongest first; None and null are empty ones."""
        schema = schema_of(message.DESCRIPTOR)
        message.SetInParent()
        entries = self._entries(layers, path, schema.fields)
        if entries is None:
            # The one problem is noted; with the defaults in place no rule finds a second one.
            _Walker(_DEFAULTS, _NOWHERE, partial=self.partial).read_message(message, [], path)
            return
        for name, said in entries.items():
            if name not in schema.fields:
                self._problem(
                    said[0].entry.key_position,
                    _join(path, name),
                    f"unknown key {name!r}, {suggestion(name, schema.fields)}",
                    said[0].path,
                )
        for name, field_schema in schema.fields.items():
            inner, places = _join(path, name), [*entries.get(name, ()), *self._below(field_schema)]
            if places:
                self.note_origin(inner, places[0].entry.key_position, places[0].path)
                self._read_field(message, field_schema, places, inner)
            else:
                self._leave_out(message, field_schema, path)
        for members in schema.required_oneofs.values():
            self._check_oneof(members, entries, path)

    def _below(self, schema: FieldSchema) -> list[_Said]:
        """The key at the top that one is merged over, if that is written."""
        name = schema.merged_over
        if self.partial or schema.container is Container.MAP or name not in self.top:
            return []
        return [_Said(self.top[name], name)]

    def _read_field(
        self, message: Message, schema: FieldSchema, places: Sequence[_Said], path: str
    ) -> None:
        match schema.container:
            case Container.SINGLE if schema.partial:
                whole = replace(self, partial=True)
                whole.read_message(getattr(message, schema.name), _layers(places), path)
                message.ClearField(schema.name)
            case Container.SINGLE if schema.kind is Kind.MESSAGE:
                self.read_message(getattr(message, schema.name), _layers(places), path)
            case Container.SINGLE:
                value = self._scalar(schema, places[0].layer, path)
                if value is not None:
                    _set(message, schema, value)
            case Container.LIST:
                self._read_list(message, schema, places[0].layer, path)
            case Container.MAP:
                self._read_map(message, schema, _layers(places), path)

    def _read_list(self, message: Message, schema: FieldSchema, layer: _Layer, path: str) -> None:
        node = layer.node
        if not isinstance(node, yaml.SequenceNode):
            assert node is not None
            hint = "; write [] for none" if is_null(node) else ""
            said = f"expected a list, found {describe(node)}{hint}"
            self._problem_at(node, path, said, layer.path)
            return
        values = getattr(message, schema.name)
        for index, item in enumerate(node.value):
            inner, place = f"{path}[{index}]", _Layer(item, f"{layer.path}[{index}]")
            self.note_origin(inner, position_of(item, self.source), place.path)
            if schema.kind is Kind.MESSAGE:
                self.read_message(values.add(), [place], inner)
            else:
                value = self._scalar(schema, place, inner)
                if value is not None:
                    values.append(value)

    def _read_map(
        self, message: Message, schema: FieldSchema, layers: Sequence[_Layer], path: str
    ) -> None:
        values = getattr(message, schema.name)
        below = []
        if schema.merged_over in self.top:
            below = [_Layer(self.top[schema.merged_over].value, schema.merged_over)]
        for key, places in (self._entries(layers, path, {}) or {}).items():
            inner, first = _join(path, key), places[0]
            self.note_origin(inner, first.entry.key_position, first.path)
            if schema.key_pattern is not None and not schema.key_pattern.fullmatch(key):
                said = f"{key!r} does not match {schema.key_pattern.pattern}"
                self._problem(first.entry.key_position, inner, said, first.path)
            if schema.kind is Kind.MESSAGE:
                self.read_message(values[key], [*_layers(places), *below], inner)
            else:
                value = self._scalar(schema, first.layer, inner)
                if value is not None:
                    values[key] = value

    def _leave_out(self, message: Message, schema: FieldSchema, path: str) -> None:
        """What becomes of a field that the text does not name."""
        if schema.partial or (schema.required and self.partial):
            return
        if schema.required:
            at = self.origins.get(path)
            self._problem(
                at.position if at else None,
                path,
                f"{schema.name!r} is missing; {_expected(schema)} is needed here",
            )
        elif schema.default is not None:
            node = yaml.compose(schema.default, Loader=yaml.SafeLoader)
            assert node is not None
            # The schema's own spelling: a bad one is a bug of ours and must not be taken for the
            # user's.
            defaults = _Walker(_DEFAULTS, _NOWHERE)
            said = _Said(Entry(schema.name, position_of(node, _DEFAULTS), node), schema.name)
            defaults._read_field(message, schema, [said], schema.name)
            assert not defaults.problems, defaults.problems
        elif (
            schema.container is Container.SINGLE
            and schema.kind is Kind.MESSAGE
            and not schema.oneof
        ):
            self.read_message(getattr(message, schema.name), [], _join(path, schema.name))

    def _check_oneof(
        self, members: tuple[str, ...], entries: Mapping[str, Sequence[_Said]], path: str
    ) -> None:
        named = [name for name in entries if name in members]
        if not named and not self.partial:
            at, choices = self.origins.get(path), ", ".join(members)
            self._problem(
                at.position if at else None, path, f"one of these keys is needed here: {choices}"
            )
        for second in named[1:]:
            said = f"{second!r} and {named[0]!r} exclude each other; name one of them"
            place = entries[second][0]
            self._problem(place.entry.key_position, _join(path, second), said, place.path)

    def _entries(
        self, layers: Iterable[_Layer], path: str, fields: Mapping[str, FieldSchema]
    ) -> dict[str, list[_Said]] | None:
        """The keys of all layers, each with the places where it is written, the strongest first.
        None, and a problem, if the strongest one is no mapping.
        """
        merged: dict[str, list[_Said]] = {}
        for depth, layer in enumerate(layers):
            node = layer.node
            if node is None or is_null(node):
                continue
            if not isinstance(node, yaml.MappingNode):
                said = f"expected a mapping, found {describe(node)}"
                self._problem_at(node, path, said, layer.path)
                if depth == 0:
                    return None
                continue
            found = entries_of(node, self.source)
            for at, message in found.problems:
                self._problem(at, path, message, layer.path)
            # A kind that was chosen above leaves nothing of another one that is named below.
            chosen = {fields[name].oneof: name for name in merged if _is_choice(fields, name)}
            for name, entry in found.entries.items():
                if not _is_choice(fields, name) or (chosen.get(fields[name].oneof, name) == name):
                    place = _Said(entry, _join(layer.path, name))
                    merged.setdefault(name, []).append(place)
        return merged

    def _scalar(self, schema: FieldSchema, layer: _Layer, path: str) -> Value | None:
        node = layer.node
        assert node is not None
        try:
            value = read_scalar(schema, node, self.surroundings)
        except BadValue as error:
            self._problem_at(node, path, str(error), layer.path)
            return None
        if schema.variables is Variables.EXPANDED and variables_in(node.value):
            self.origins[path] = replace(self.origins[path], text=node.value)
        return value

    def _problem_at(self, node: yaml.Node, path: str, message: str, written: str) -> None:
        self._problem(position_of(node, self.source), path, message, written)

    def _problem(self, at: Position | None, path: str, message: str, written: str = "") -> None:
        """Notes a problem of `path`, unless what is to blame stands elsewhere (`written`): there it
        is noted as well.
        """
        self.unsound.add(path)
        if written in ("", path):
            self.problems.append(Problem(at, path, message))


def _layers(places: Iterable[_Said]) -> list[_Layer]:
    return [place.layer for place in places]


def _is_choice(fields: Mapping[str, FieldSchema], name: str) -> bool:
    return name in fields and bool(fields[name].oneof)


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
