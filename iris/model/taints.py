"""Taints keep work away from a machine unless the work says that it puts up with them.

A taint travels as an attribute of its worker whose name begins with `taint/`, so everything that
knows a worker's attributes knows its taints.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from iris.model.errors import InvalidArgument

TAINT_PREFIX = "taint/"
_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Toleration:
    """The work runs on machines that have this taint.

    Attributes:
        value: None: whatever the taint's value is.
    """

    key: str
    value: str | None = None

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise InvalidArgument(
                f"{self.key!r} is no taint.", hint="Use letters, digits, '.', '_' and '-'."
            )

    def __str__(self) -> str:
        return self.key if self.value is None else f"{self.key}={self.value}"


def taints_of(attributes: Mapping[str, str]) -> dict[str, str]:
    """A worker's taints: key and value."""
    return {
        name.removeprefix(TAINT_PREFIX): value
        for name, value in attributes.items()
        if name.startswith(TAINT_PREFIX)
    }


def untolerated(taints: Mapping[str, str], tolerations: Iterable[Toleration]) -> str | None:
    """The first taint (by name) that none of the tolerations covers; None if all are covered."""
    accepted = tuple(tolerations)
    for key in sorted(taints):
        if not any(t.key == key and t.value in (None, taints[key]) for t in accepted):
            return key
    return None
