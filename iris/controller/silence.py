"""Which workers have said nothing for too long. Looks only at those whose time may have come."""

import heapq

from iris.model.ids import WorkerId


class SilenceWatch:
    """Times are monotonic seconds."""

    def __init__(self, lost_after: float) -> None:
        self._lost_after = lost_after
        self._heard: dict[WorkerId, float] = {}
        # Each worker is in it once, due when it might be silent for too long; moved on when looked
        # at.
        self._due: list[tuple[float, WorkerId]] = []

    def heard(self, worker_id: WorkerId, now: float) -> None:
        """It said something. Begins to watch a worker that is new."""
        if worker_id not in self._heard:
            heapq.heappush(self._due, (now + self._lost_after, worker_id))
        self._heard[worker_id] = now

    def last_heard(self, worker_id: WorkerId) -> float | None:
        """When it said something last; None for one that is not watched."""
        return self._heard.get(worker_id)

    def forget(self, worker_id: WorkerId) -> None:
        """It is gone."""
        self._heard.pop(worker_id, None)

    def next_look(self) -> float | None:
        """When `silent` may have something to say."""
        return self._due[0][0] if self._due else None

    def silent(self, now: float) -> list[WorkerId]:
        """Workers that have been silent for too long. Each is named once, and no longer watched."""
        lost = []
        while self._due and self._due[0][0] <= now:
            due, worker_id = heapq.heappop(self._due)
            heard = self._heard.get(worker_id)
            if heard is None:
                continue
            if heard + self._lost_after > now:
                heapq.heappush(self._due, (heard + self._lost_after, worker_id))
            elif now - due > self._lost_after:
                # We are that late ourselves (the machine was asleep, say): what the worker said
                # meanwhile may not have been read yet. It gets another period.
                self._heard[worker_id] = now
                heapq.heappush(self._due, (now + self._lost_after, worker_id))
            else:
                del self._heard[worker_id]
                lost.append(worker_id)
        return lost
