"""The latest decisions, bounded. What is done and what is held have a bound each, so that a long
queue does not push out what was done.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Iterable

from iris.autoscaler.demand import ScalingAction, ScalingDecision, ScalingReason
from iris.model.ids import JobId

MOST_KEPT = 256
_Held = dict[JobId | None, tuple[ScalingReason, str]]


class DecisionLog:
    """Oldest first."""

    def __init__(self) -> None:
        self._order = itertools.count()
        self._done: deque[tuple[int, ScalingDecision]] = deque(maxlen=MOST_KEPT)
        self._holds: deque[tuple[int, ScalingDecision]] = deque(maxlen=MOST_KEPT)
        self._held: _Held = {}

    def add(self, decision: ScalingDecision) -> None:
        """Something was done, or went wrong."""
        entries = self._holds if decision.action is ScalingAction.HOLD else self._done
        entries.append((next(self._order), decision))

    def hold(self, decisions: Iterable[ScalingDecision], waiting: Iterable[JobId]) -> None:
        """All demand that is held by one plan. Of a job that has been `waiting` since it was last
        held, it is told only if the reason is another one: between two tries there may be a moment
        in which capacity seemed to come.
        """
        held: _Held = {job: self._held[job] for job in waiting if job in self._held}
        for one in decisions:
            reason = (one.reason, one.scale_group)
            if held.get(one.job_id) != reason:
                held[one.job_id] = reason
                self.add(one)
        self._held = held

    def latest(self) -> tuple[ScalingDecision, ...]:
        """All that are kept, in order."""
        both = heapq.merge(self._done, self._holds, key=lambda entry: entry[0])
        return tuple(decision for _, decision in both)
