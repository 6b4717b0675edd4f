"""Ids that are counted, so that a test can name them beforehand."""

import itertools


class CountedIds:
    """`<prefix>-1`, `<prefix>-2`, ...: one count per prefix. See iris.host.ids.IdSource."""

    def __init__(self) -> None:
        self._counts: dict[str, itertools.count[int]] = {}

    def fresh(self, prefix: str) -> str:
        """The next id of that prefix."""
        return f"{prefix}-{next(self._counts.setdefault(prefix, itertools.count(1)))}"
