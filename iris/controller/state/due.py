"""Moments at which something is due."""

import heapq
from collections.abc import Callable
from datetime import datetime

# (when, a job's number, which of the things that can be due of a job)
Due = tuple[datetime, int, int]

# So many that no longer hold may be kept in any case, before it is worth looking for them.
_KEPT = 1_024


class DueHeap:
    """The earliest first. What no longer holds is found out when it comes up, and now and then of
    all: so it takes no more room than twice what holds.

    Args:
        holds: Whether something that was noted once is still to happen.
    """

    __slots__ = ("_heap", "_holds", "_limit")

    def __init__(self, holds: Callable[[Due], bool]) -> None:
        self._holds = holds
        self._heap: list[Due] = []
        self._limit = _KEPT

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, due: Due) -> None:
        """Notes it; once more does no harm."""
        heapq.heappush(self._heap, due)
        if len(self._heap) > self._limit:
            self._heap = [one for one in self._heap if self._holds(one)]
            heapq.heapify(self._heap)
            self._limit = 2 * len(self._heap) + _KEPT

    def next(self) -> datetime | None:
        """When the next is due."""
        while self._heap:
            if self._holds(self._heap[0]):
                return self._heap[0][0]
            heapq.heappop(self._heap)
        return None

    def pop(self, at: datetime) -> Due | None:
        """Takes out the next that is due by then; None: nothing more is."""
        while self._heap and self._heap[0][0] <= at:
            due = heapq.heappop(self._heap)
            if self._holds(due):
                return due
        return None
