"""Fresh names, as something that is handed in: random ones here, counted ones in tests."""

import secrets
from typing import Protocol


class IdSource(Protocol):
    """Where fresh ids come from. No id is ever given twice."""

    def fresh(self, prefix: str) -> str:
        """A new id, `<prefix>-<something>`, of lower-case letters, digits and '-'."""


class RandomIds:
    """64 random bits each."""

    def fresh(self, prefix: str) -> str:
        """See IdSource."""
        return f"{prefix}-{secrets.token_hex(8)}"
