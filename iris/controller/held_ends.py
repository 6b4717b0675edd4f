"""Ends of attempts that wait for their last log lines.

An attempt is over for the controller only once its lines are there. That wait has a bound: after
it, or when the worker is gone, the end counts without them, and says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from iris.controller.state.events import Observation
from iris.model.ids import AttemptUid, WorkerId


@dataclass(frozen=True, slots=True)
class HeldEnd:
    """An end that a worker told.

    Attributes:
        lines: How many log lines the attempt wrote.
        until: Monotonic seconds; the end counts then at the latest.
    """

    worker_id: WorkerId
    incarnation_id: str
    observation: Observation
    lines: int
    until: float

    def without_logs(self) -> "HeldEnd":
        """The same, as one whose lines will never all be there."""
        return replace(self, observation=replace(self.observation, logs_complete=False))


class HeldEnds:
    """At most one for each attempt that is running somewhere."""

    def __init__(self) -> None:
        self._held: dict[AttemptUid, HeldEnd] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, end: HeldEnd) -> None:
        """Waits for its lines. One that is told again waits no longer than it did already."""
        uid = end.observation.attempt_uid
        known = self._held.get(uid)
        if known is not None and known.incarnation_id == end.incarnation_id:
            end = replace(end, until=known.until)
        self._held[uid] = end

    def lines_arrived(self, uid: AttemptUid, next_index: int) -> HeldEnd | None:
        """There are so many lines now: the end, if it waits for no more of them."""
        held = self._held.get(uid)
        if held is None or next_index < held.lines:
            return None
        return self._held.pop(uid)

    def drop(self, uid: AttemptUid) -> None:
        """The attempt's end is known in another way."""
        self._held.pop(uid, None)

    def next_deadline(self) -> float | None:
        """When the first of them has waited for long enough."""
        return min((held.until for held in self._held.values()), default=None)

    def overdue(self, now: float) -> list[HeldEnd]:
        """Those that have waited for long enough."""
        return self._take(uid for uid, held in self._held.items() if held.until <= now)

    def of_worker(self, worker_id: WorkerId) -> list[HeldEnd]:
        """Those of a worker that is gone: nothing more will come from it."""
        return self._take(uid for uid, held in self._held.items() if held.worker_id == worker_id)

    def _take(self, uids: Iterable[AttemptUid]) -> list[HeldEnd]:
        return [self._held.pop(uid).without_logs() for uid in list(uids)]
