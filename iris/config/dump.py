"""A complete configuration as YAML: what a cluster really runs with, for people and for
`parse_config`.
"""

from typing import Any

import yaml
from google.protobuf.message import Message
from iris_proto import config_pb2

from iris.config.quantities import format_cpu, format_duration, format_size
from iris.config.schema import Container, FieldSchema, Kind, enum_names, schema_of

Plain = str | int | bool | list["Plain"] | dict[str, "Plain"]


def config_to_yaml(config: config_pb2.ClusterConfig) -> str:
    """Loading the text gives an equal configuration. Needs one that is complete, as `parse_config`
    returns it.
    """
    # With allow_unicode PyYAML writes some characters (U+0085) so that it reads them back as
    # others.
    text: str = yaml.safe_dump(_mapping(config), sort_keys=False, allow_unicode=False)
    return text


def _mapping(message: Message) -> dict[str, Plain]:
    written: dict[str, Plain] = {}
    for name, schema in schema_of(message.DESCRIPTOR).fields.items():
        value = getattr(message, name)
        match schema.container:
            case Container.LIST:
                if value or schema.default is not None:
                    written[name] = [_value(schema, item) for item in value]
            case Container.MAP:
                if value:
                    written[name] = {key: _value(schema, value[key]) for key in sorted(value)}
            case Container.SINGLE if schema.tells_unset:
                if message.HasField(name):
                    written[name] = _value(schema, value)
            case Container.SINGLE:
                # Without a default, zero and unset are the same.
                if value or schema.default is not None:
                    written[name] = _value(schema, value)
    return written


def _value(schema: FieldSchema, value: Any) -> Plain:
    match schema.kind:
        case Kind.MESSAGE:
            return _mapping(value)
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
