"""A complete configuration as YAML: what a cluster really runs with, for people and for
`parse_config`.
"""

from collections.abc import Iterator
from typing import Any

import yaml
from google.protobuf.message import Message
from iris_proto import config_pb2

from iris.config.quantities import format_cpu, format_duration, format_size
from iris.config.schema import Container, FieldSchema, Kind, Variables, enum_names, schema_of
from iris.config.variables import escape

Plain = str | int | bool | list["Plain"] | dict[str, "Plain"]


def config_to_yaml(config: config_pb2.ClusterConfig) -> str:
    """Loading the text gives an equal configuration, in whatever environment. Needs one that is
    complete, as `parse_config` returns it.
    """
    # With allow_unicode PyYAML writes some characters (U+0085) so that it reads them back as
    # others.
    text: str = yaml.safe_dump(_mapping(config, None, config), sort_keys=False, allow_unicode=False)
    return text


def written_fields(
    message: Message, below: Message | None = None
) -> Iterator[tuple[str, FieldSchema, Any]]:
    """Name, schema and value of every field that has a value, or has to be written because it
    otherwise would have one: its default's, or that of the same field of `below`.
    """
    for name, schema in schema_of(message.DESCRIPTOR).fields.items():
        value = getattr(message, name)
        match schema.container:
            case Container.SINGLE if schema.tells_unset:
                there = message.HasField(name)
            case Container.MAP:
                there = bool(value)
            case _:
                # Without a default, zero and unset are the same.
                there = bool(value) or schema.default is not None or _stands(below, name)
        if there:
            yield name, schema, value


def format_value(schema: FieldSchema, value: Any) -> Plain:
    """One value, no message, as it is written in YAML."""
    match schema.kind:
        case Kind.DURATION:
            return format_duration(value.ToTimedelta())
        case Kind.BYTES:
            return format_size(value)
        case Kind.CPU_MILLIS:
            return format_cpu(value)
        case Kind.ENUM:
            assert schema.enum is not None
            return next(name for name, number in enum_names(schema.enum).items() if number == value)
        case _:
            plain: Plain = value
            return plain


def _mapping(message: Message, below: Message | None, top: Message) -> dict[str, Plain]:
    written: dict[str, Plain] = {}
    for name, schema, value in written_fields(message, below):
        lower = _below(schema, top)
        match schema.container:
            case Container.LIST:
                written[name] = [_value(schema, item, None, top) for item in value]
            case Container.MAP:
                items = ((key, _value(schema, value[key], None, top)) for key in sorted(value))
                written[name] = dict(items)
            case Container.SINGLE:
                written[name] = _value(schema, value, lower, top)
    return written


def _value(schema: FieldSchema, value: Any, below: Message | None, top: Message) -> Plain:
    if schema.kind is Kind.MESSAGE:
        return _mapping(value, below, top)
    plain = format_value(schema, value)
    if schema.variables is Variables.EXPANDED and isinstance(plain, str):
        return escape(plain)
    return plain


def _below(schema: FieldSchema, top: Message) -> Message | None:
    """The mapping at the top that this one is merged over."""
    if schema.kind is not Kind.MESSAGE or not schema.merged_over:
        return None
    below: Message = getattr(top, schema.merged_over)
    return below


def _stands(below: Message | None, name: str) -> bool:
    return below is not None and bool(getattr(below, name))
