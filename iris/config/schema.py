"""The schema of a configuration, read off the message descriptors and their options
(iris_proto/options.proto).
"""

import functools
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.protobuf import duration_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from iris_proto import options_pb2

_INT32 = (-(1 << 31), (1 << 31) - 1)
_INT64 = (-(1 << 63), (1 << 63) - 1)
_INTEGER_RANGES = {FieldDescriptor.TYPE_INT32: _INT32, FieldDescriptor.TYPE_INT64: _INT64}
_DURATION = duration_pb2.Duration.DESCRIPTOR


class Kind(Enum):
    """What a value is, in the words of an error message."""

    TEXT = "text"
    BOOL = "true or false"
    INTEGER = "a whole number"
    NUMBER = "a number"
    BYTES = "a size such as 512MiB or 64GB"
    CPU_MILLIS = "a number of cores such as 2, 1.5 or 500m"
    PATH = "a path"
    DURATION = "a duration such as 5s, 10m or 1h30m"
    ENUM = "one of the names"
    MESSAGE = "a mapping"


_UNIT_KINDS: dict[int, Kind] = {
    options_pb2.BYTES: Kind.BYTES,
    options_pb2.CPU_MILLIS: Kind.CPU_MILLIS,
    options_pb2.PATH: Kind.PATH,
}


class Variables(Enum):
    """What `${NAME}` means in a text; see iris_proto/options.proto."""

    REFUSED = "refused"
    EXPANDED = "expanded"
    KEPT = "kept"


_VARIABLES: dict[int | None, Variables] = {
    options_pb2.EXPANDED: Variables.EXPANDED,
    options_pb2.KEPT: Variables.KEPT,
}


class Container(Enum):
    """How many values a field has."""

    SINGLE = "one value"
    LIST = "a list"
    MAP = "a mapping of names"


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """One key and what may stand there.

    Attributes:
        kind: Of the value; of each element of a list; of each value of a map.
        default: In YAML spelling; None where there is none.
        minimum: Inclusive, in the unit of the field (durations: seconds); None leaves it to the
            type.
        maximum: Likewise.
        message: The message's type where kind is MESSAGE.
        tells_unset: Whether the message says if the field was set at all.
        oneof: The name of the oneof it belongs to; empty if to none.
        merged_over: The key at the top whose value holds where this one says nothing; empty if
            there is none.
        partial: Whether it only completes others, so that nothing is required in it.
    """

    name: str
    kind: Kind
    container: Container
    default: str | None
    required: bool
    minimum: int | None
    maximum: int | None
    pattern: re.Pattern[str] | None
    key_pattern: re.Pattern[str] | None
    message: Descriptor | None
    enum: EnumDescriptor | None
    oneof: str
    tells_unset: bool
    variables: Variables
    merged_over: str
    partial: bool


@dataclass(frozen=True, slots=True)
class MessageSchema:
    """The keys of one mapping, in the order of the schema, and the oneofs of which exactly one
    member has to be named.

    Attributes:
        name: Of the message type, with its package.
    """

    name: str
    fields: dict[str, FieldSchema]
    required_oneofs: dict[str, tuple[str, ...]]


@functools.cache
def schema_of(message: Descriptor) -> MessageSchema:
    """The schema of a message type."""
    return MessageSchema(
        name=message.full_name,
        fields={field.name: _field_schema(field) for field in message.fields},
        required_oneofs={
            oneof.name: tuple(field.name for field in oneof.fields)
            for oneof in message.oneofs
            if _option(oneof, options_pb2.required_one)
        },
    )


def enum_names(enum: EnumDescriptor) -> dict[str, int]:
    """The names a person may write, and their numbers; the one that stands for "unset" is not among
    them.
    """
    return {value.name: value.number for value in enum.values if value.number != 0}


def _field_schema(field: FieldDescriptor) -> FieldSchema:
    value, container = field, Container.LIST if field.is_repeated else Container.SINGLE
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value, container = field.message_type.fields_by_name["value"], Container.MAP
    kind = _kind(value, _option(field, options_pb2.unit))
    low, high = _INTEGER_RANGES.get(value.type, (None, None))
    minimum, maximum = _option(field, options_pb2.min), _option(field, options_pb2.max)
    return FieldSchema(
        name=field.name,
        kind=kind,
        container=container,
        default=_option(field, options_pb2.default),
        required=bool(_option(field, options_pb2.required)),
        minimum=low if minimum is None else minimum,
        maximum=high if maximum is None else maximum,
        pattern=_pattern(_option(field, options_pb2.pattern)),
        key_pattern=_pattern(_option(field, options_pb2.key_pattern)),
        message=value.message_type if kind is Kind.MESSAGE else None,
        enum=value.enum_type if kind is Kind.ENUM else None,
        oneof=_oneof_name(field.containing_oneof),
        tells_unset=field.has_presence,
        variables=_variables(kind, _option(field, options_pb2.variables)),
        merged_over=_option(field, options_pb2.merged_over) or "",
        partial=bool(_option(field, options_pb2.partial)),
    )


def _option(of: FieldDescriptor | OneofDescriptor, extension: Any) -> Any:
    """The value of one of options.proto's options; None where it is not set."""
    options: Any = of.GetOptions()
    return options.Extensions[extension] if options.HasExtension(extension) else None


def _kind(field: FieldDescriptor, unit: int | None) -> Kind:
    if unit:
        return _UNIT_KINDS[unit]
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return Kind.TEXT
        case FieldDescriptor.TYPE_BOOL:
            return Kind.BOOL
        case FieldDescriptor.TYPE_INT32 | FieldDescriptor.TYPE_INT64:
            return Kind.INTEGER
        case FieldDescriptor.TYPE_DOUBLE:
            return Kind.NUMBER
        case FieldDescriptor.TYPE_ENUM:
            return Kind.ENUM
        case FieldDescriptor.TYPE_MESSAGE:
            is_duration = field.message_type is _DURATION
            return Kind.DURATION if is_duration else Kind.MESSAGE
        case _:
            raise TypeError(
                f"{field.full_name}: the configuration loader does not know fields of this type"
            )


def _variables(kind: Kind, option: int | None) -> Variables:
    # Paths are of the machine that the file is read on.
    return Variables.EXPANDED if kind is Kind.PATH else _VARIABLES.get(option, Variables.REFUSED)


def _pattern(text: object) -> re.Pattern[str] | None:
    return None if text is None else re.compile(str(text))


def _oneof_name(oneof: OneofDescriptor | None) -> str:
    # A field declared `optional` lies in a oneof of its own, which nobody wrote.
    return "" if oneof is None or oneof.name.startswith("_") else oneof.name
