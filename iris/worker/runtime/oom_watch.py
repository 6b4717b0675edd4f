"""Notices that the kernel killed processes of an attempt for lack of memory in its group.

The kernel kills one and lets the others go on, as it sees fit: a task that lost a process without
knowing is not what anybody asked for.
"""

from iris.worker.runtime.attempt_groups import OOM_SETTLES_SECONDS, AttemptGroups
from iris.worker.runtime.limits import MEMORY, Excess

_INTERVAL_SECONDS = 0.25
_SETTLING_INTERVAL_SECONDS = 0.01


class OomWatch:
    """Times are of `time.monotonic`."""

    def __init__(self, groups: AttemptGroups) -> None:
        self._groups = groups
        self._must_ask = MEMORY in groups.enforced and groups.oom_fd < 0
        self._due: float | None = None
        self._settled_at = 0.0

    def begin(self, now: float) -> None:
        """From here on it is watched. Where the kernel tells by itself, only its news are waited
        for.
        """
        if self._must_ask:
            self._due = now

    def due(self) -> float | None:
        """When to look next; None: when there are news."""
        return self._due

    def on_news(self, now: float) -> None:
        """The group's `oom_fd` is readable."""
        self._groups.drain_oom()
        self._due, self._settled_at = now, now + OOM_SETTLES_SECONDS

    def look(self, now: float) -> Excess | None:
        """Whether it has happened, if it is time to look."""
        if self._due is None or now < self._due:
            return None
        if excess := self.final_look():
            return excess
        if now < self._settled_at:
            self._due = now + _SETTLING_INTERVAL_SECONDS
        else:
            self._due = now + _INTERVAL_SECONDS if self._must_ask else None
        return None

    def final_look(self) -> Excess | None:
        """Whether it has happened."""
        if not self._groups.oom_kills():
            return None
        return Excess(MEMORY, self._groups.peak_memory_bytes())
