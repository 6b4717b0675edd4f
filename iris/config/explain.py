"""Every value of a configuration with where it comes from: the file, and which key of it; the
environment; the schema's default.
"""

import fnmatch
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.message import Message
from iris_proto import config_pb2

from iris.config.dump import format_value, written_fields
from iris.config.errors import ConfigError, Position, Problem, suggestion
from iris.config.loader import Loaded, Origin
from iris.config.read import read_config
from iris.config.schema import Container, FieldSchema, Kind, MessageSchema, schema_of
from iris.host.budget import this_machine
from iris.model.errors import InvalidArgument
from iris.model.resources import Resources

_HIDDEN = "***"


class Source(Enum):
    """Where a value comes from."""

    FILE = "file"
    DEFAULT = "default"
    NOT_SET = "not set"


@dataclass(frozen=True, slots=True)
class Explained:
    """One value.

    Attributes:
        key: Its path, `scale_groups.cpu.vm.memory`.
        value: As it would be written; with variables of the environment, as it is written, for what
            stands in them may be secret. `***` for a variable of `bootstrap.environment` that
            `worker.secret_env` names.
        position: Where it is written; None unless `source` is FILE.
        written: The key that stands there, if another one than `key`: `scale_group_defaults.vm.memory`.
        variables: Names of the environment's variables that it is made with.
    """

    key: str
    value: str
    source: Source
    position: Position | None = None
    written: str = ""
    variables: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """`lab.yaml:12`, `scale_group_defaults, lab.yaml:12`, `lab.yaml:12, $HF_TOKEN`, `default`."""
        if self.position is None:
            return self.source.value
        top, _, rest = self.written.partition(".")
        # Another key of the same section is told by its own name, another section by its.
        inside = rest and top == self.key.partition(".")[0]
        key = self.written.rpartition(".")[2] if inside else top
        where = f"{self.position.source}:{self.position.line}"
        return ", ".join(filter(None, (key, where, *(f"${name}" for name in self.variables))))


def explain_config(
    text: str,
    source: str,
    *,
    key: str = "",
    folder: Path | None = None,
    machine: Callable[[], Resources] = this_machine,
    environment: Mapping[str, str] | None = None,
    warn: Callable[[Problem], None] = lambda _: None,
) -> tuple[Explained, ...]:
    """The values of a configuration in the order of the schema; see `load_config` for the rest.

    Args:
        key: Only this one and what lies in it, then also what is not set.

    Raises ConfigError for a configuration that cannot be used, and InvalidArgument for a key that
    there is not.
    """
    loaded = read_config(text, source, folder=folder, machine=machine, environment=environment)
    for warning in loaded.warnings:
        warn(warning)
    if loaded.problems:
        raise ConfigError(loaded.problems)
    walk = _Walk(loaded, everything=bool(key))
    rows = tuple(walk.message(loaded.message, ""))
    if not key:
        return rows
    found = tuple(row for row in rows if _lies_in(row.key, key))
    if not found:
        raise _no_such_key(key, rows)
    return found


@dataclass(frozen=True, slots=True)
class _Walk:
    loaded: Loaded[config_pb2.ClusterConfig]
    everything: bool

    def message(self, message: Message, path: str) -> Iterator[Explained]:
        """The values of one mapping, and of all that lie in it."""
        schema = schema_of(message.DESCRIPTOR)
        written = {name for name, _, _ in written_fields(message)}
        for name, field in schema.fields.items():
            inner = f"{path}.{name}" if path else name
            if name in written or (inner in self.loaded.origins and not field.partial):
                yield from self._field(field, getattr(message, name), inner)
            elif self.everything and not _excluded(schema, field, written) and not field.partial:
                yield Explained(inner, "", Source.NOT_SET)

    def _field(self, field: FieldSchema, value: Any, path: str) -> Iterator[Explained]:
        is_message = field.kind is Kind.MESSAGE
        match field.container:
            case Container.SINGLE if is_message:
                inner = list(self.message(value, path))
                if not inner and path in self.loaded.origins:
                    inner.append(self._row(path, "{}", ""))
                yield from inner
            case Container.SINGLE:
                yield self._row(path, _shown(field, value), "")
            case Container.MAP:
                yield from self._map(field, value, path)
            case Container.LIST if is_message:
                for index, item in enumerate(value):
                    yield from self.message(item, f"{path}[{index}]")
            case Container.LIST:
                yield self._list(field, value, path)

    def _map(self, field: FieldSchema, values: Mapping[str, Any], path: str) -> Iterator[Explained]:
        for name in sorted(values):
            inner = f"{path}.{name}"
            if field.kind is Kind.MESSAGE:
                yield from self.message(values[name], inner)
            else:
                yield self._row(inner, _shown(field, values[name]), self._instead(path, name))
        if not values:
            yield self._row(path, "{}", "")

    def _list(self, field: FieldSchema, values: list[Any], path: str) -> Explained:
        """All of a list in one row: it comes from one place."""
        origins = [self.loaded.origins.get(f"{path}[{index}]") for index in range(len(values))]
        items = [
            origin.text if origin and origin.text else format_value(field, value)
            for origin, value in zip(origins, values, strict=True)
        ]
        text = yaml.safe_dump(items, default_flow_style=True, width=math.inf, allow_unicode=True)
        row = self._row(path, text.strip(), "")
        names = dict.fromkeys(name for one in origins if one for name in one.variables)
        return Explained(row.key, row.value, row.source, row.position, row.written, tuple(names))

    def _row(self, path: str, value: str, instead: str) -> Explained:
        origin: Origin | None = self.loaded.origins.get(path)
        if origin is None:
            return Explained(path, instead or value, Source.DEFAULT)
        return Explained(
            path,
            instead or origin.text or value,
            Source.FILE,
            origin.position,
            origin.path if origin.path != path else "",
            origin.variables,
        )

    def _instead(self, path: str, name: str) -> str:
        """What is shown for a variable of a worker whose value has to stay secret; else nothing."""
        patterns = self.loaded.message.worker.secret_env
        secret = any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        if not secret or not path.endswith("bootstrap.environment"):
            return ""
        origin = self.loaded.origins.get(f"{path}.{name}")
        # The bare name of a variable gives nothing away.
        bare = origin is not None and re.fullmatch(r"\$\{\w+(:-)?\}", origin.text) is not None
        return origin.text if origin is not None and bare else _HIDDEN


def _shown(field: FieldSchema, value: Any) -> str:
    plain = format_value(field, value)
    return str(plain).lower() if isinstance(plain, bool) else str(plain)


def _excluded(schema: MessageSchema, field: FieldSchema, written: set[str]) -> bool:
    """Whether another of its kind was chosen."""
    return any(schema.fields[name].oneof == field.oneof for name in written) and bool(field.oneof)


def _lies_in(path: str, key: str) -> bool:
    return path == key or path.startswith((f"{key}.", f"{key}["))


def _no_such_key(key: str, rows: tuple[Explained, ...]) -> InvalidArgument:
    """Names the nearest key, or what there is where the key still leads somewhere."""
    known = {row.key[:end] for row in rows for end in _ends(row.key)}
    above = key
    while above and above not in known:
        above = above.rpartition(".")[0]
    depth = len(above) + 1 if above else 0
    here = {path[depth:] for path in known if _lies_in(path, above) or not above} - {""}
    inner = {name for name in here if "." not in name}
    missing = key[depth:].partition(".")[0]
    return InvalidArgument(
        f"There is no key {key!r} in this configuration.",
        hint=f"In {above or 'it'} {missing!r} is unknown: {suggestion(missing, inner)}",
    )


def _ends(path: str) -> list[int]:
    """Where each part of a path ends."""
    return [place for place, letter in enumerate(path) if letter in ".["] + [len(path)]
