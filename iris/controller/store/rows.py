"""How records and events are written into rows, and read again: JSON, so that `sqlite3` and people
can read it too.

A job's specification never changes and is the largest part of it: it is written once, and the job's
record and its JobSubmitted do without it.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, get_args, get_type_hints

import msgspec

from iris.controller.state.events import Event, JobSubmitted, TimePassed
from iris.controller.state.records import AttemptRecord, JobRecord, TaskRecord, WorkerRecord
from iris.model.job import JobSpec

T = TypeVar("T")

# Specifications that were read last. Many jobs are alike but for their names: those share one.
_SPECS_KEPT = 4096
# A larger one has a pickled function in it, or much else that is its job's alone.
_KEPT_BYTES = 16 << 10

encode: Final = msgspec.json.Encoder().encode
decode_task: Final = msgspec.json.Decoder(TaskRecord).decode
decode_attempt: Final = msgspec.json.Decoder(AttemptRecord).decode
decode_worker: Final = msgspec.json.Decoder(WorkerRecord).decode


class Part(Generic[T]):
    """Writes a dataclass, perhaps without some of its fields, and makes it whole again.

    Of a field whose default is nothing (0, None, no elements), nothing is written while it is that.
    """

    def __init__(self, cls: type[T], apart: frozenset[str] = frozenset()) -> None:
        self._cls = cls
        hints = get_type_hints(cls)
        kept = [field for field in fields(cls) if field.name not in apart]  # type: ignore[arg-type]
        self._names = tuple(field.name for field in kept)
        self._values: Callable[[object], tuple[object, ...]] = attrgetter(*self._names)
        self._row: type[msgspec.Struct] = msgspec.defstruct(
            cls.__name__,
            [(field.name, hints[field.name], *_default(field)) for field in kept],
            omit_defaults=True,
        )
        self._decode = msgspec.json.Decoder(self._row).decode

    def encode(self, value: T) -> bytes:
        """The row of it."""
        return encode(self._row(*self._values(value)))

    def decode(self, row: bytes, **apart: object) -> T:
        """The value, made of its row and the fields that it does without. Raises msgspec's
        errors.
        """
        values: dict[str, Any] = dict(
            zip(self._names, self._values(self._decode(row)), strict=True)
        )
        return self._cls(**apart, **values)


def _default(field: Field[Any]) -> tuple[object, ...]:
    assert field.default_factory is MISSING, f"{field.name} is of no kind that is kept here"
    if field.default is MISSING:
        return ()
    if not field.default:
        return (field.default,)
    # msgspec leaves out what equals a default, but asks no function for it.
    return (msgspec.field(default_factory=lambda: field.default),)


SPEC: Final = Part(JobSpec)
JOB: Final = Part(JobRecord, frozenset({"job_id", "number", "spec"}))
SUBMITTED: Final = Part(JobSubmitted, frozenset({"spec"}))

# Kinds as they were called once; each reads like the one that took its place.
_FORMER_KINDS: Mapping[str, type[Event]] = {"RetryDue": TimePassed}
_DECODERS: Mapping[str, Callable[[bytes], Event]] = {
    kind: msgspec.json.Decoder(cls).decode
    for kind, cls in {**{cls.__name__: cls for cls in get_args(Event)}, **_FORMER_KINDS}.items()
}


def decode_spec(row: bytes) -> JobSpec:
    """A specification from its row. Raises msgspec's errors, or what the specification raises."""
    return _decode_kept(row) if len(row) <= _KEPT_BYTES else SPEC.decode(row)


@lru_cache(_SPECS_KEPT)
def _decode_kept(row: bytes) -> JobSpec:
    return SPEC.decode(row)


def decode_event(kind: str, event: bytes, spec: bytes | None) -> Event:
    """An event from its row, and the specification that completes it if it does without.

    Raises msgspec's errors, also for a kind that no Iris ever wrote.
    """
    if spec is not None:
        return SUBMITTED.decode(event, spec=decode_spec(spec))
    decode = _DECODERS.get(kind)
    if decode is None:
        raise msgspec.ValidationError(f"there are no events called {kind!r}")
    return decode(event)
