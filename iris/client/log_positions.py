"""Which log lines a reader has had: so that none is repeated or lost when a stream breaks and is
begun anew.
"""

from collections.abc import Sequence

from iris.client.views import LogLine
from iris.model.ids import TaskId


class LogPositions:
    """The next line of every attempt that was seen. One entry per attempt; not thread-safe."""

    def __init__(self) -> None:
        self._next: dict[tuple[TaskId, int], int] = {}

    def __len__(self) -> int:
        return len(self._next)

    def take_new(self, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        """Those of one message (lines of one attempt, in order) that were not taken before."""
        if not lines:
            return lines
        attempt = (lines[0].task_id, lines[0].attempt)
        next_index = self._next.get(attempt, 0)
        self._next[attempt] = max(next_index, lines[-1].index + 1)
        if lines[0].index >= next_index:
            return lines
        return [line for line in lines if line.index >= next_index]
