"""Times and enums between model and wire."""

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Generic, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from iris.model.errors import InvalidArgument

E = TypeVar("E", bound=Enum)


class EnumTable(Generic[E]):
    """One enum of the model and its twin in the protos, which has the same names behind a prefix,
    and an UNSPECIFIED.

    Raises KeyError when made, so at import, if the two do not match name for name.
    """

    def __init__(self, model: type[E], wire: Any, prefix: str = "") -> None:
        self._name = model.__name__
        self._to_wire: dict[E, int] = {member: wire.Value(prefix + member.name) for member in model}
        self._from_wire: dict[int, E] = {value: member for member, value in self._to_wire.items()}
        extra = {name for name, value in wire.items() if value and value not in self._from_wire}
        if extra:
            raise KeyError(f"{self._name} has no member for {sorted(extra)}")

    def to_proto(self, member: E) -> Any:
        """The number on the wire."""
        return self._to_wire[member]

    def from_proto(self, value: int) -> E:
        """The member. Raises InvalidArgument for a number that is unknown or UNSPECIFIED."""
        member = self._from_wire.get(value)
        if member is None:
            raise InvalidArgument(
                f"{value} is no {self._name}.", hint="Is the other side of a different version?"
            )
        return member


def timestamp_to_proto(moment: datetime | None) -> Timestamp | None:
    """None stays None, which a message constructor takes for "absent"."""
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def timestamp_from_proto(message: Any, field: str) -> datetime | None:
    """The message's field as an aware datetime (UTC), or None where it is absent."""
    if not message.HasField(field):
        return None
    moment: datetime = getattr(message, field).ToDatetime(tzinfo=UTC)
    return moment


def duration_to_proto(length: timedelta | None) -> Duration | None:
    """None stays None."""
    if length is None:
        return None
    duration = Duration()
    duration.FromTimedelta(length)
    return duration


def duration_from_proto(message: Any, field: str) -> timedelta | None:
    """The message's field, or None where it is absent."""
    if not message.HasField(field):
        return None
    length: timedelta = getattr(message, field).ToTimedelta()
    return length
