"""A fingerprint of everything that happened: two runs of one scenario have the same."""

import hashlib
from collections.abc import Sequence

import msgspec

from iris.controller.state.events import Event


class History:
    """Costs time, so it is kept only where it is asked for."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._hash = hashlib.sha256()
        self._encode = msgspec.json.Encoder().encode

    def add(self, at: float, events: Sequence[Event]) -> None:
        """What one turn committed."""
        if self._enabled and events:
            self._hash.update(repr(at).encode())
            for event in events:
                self._hash.update(type(event).__name__.encode())
                self._hash.update(self._encode(event))

    def digest(self) -> str:
        """Of all so far; empty where it was not asked for."""
        return self._hash.hexdigest() if self._enabled else ""
