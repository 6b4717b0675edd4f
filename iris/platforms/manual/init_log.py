"""What happened while a VM came up, readable while it does."""

from collections import deque
from collections.abc import Callable
from datetime import datetime

_KEPT_LINES = 2000


class InitLog:
    """Lines with their times; the last 2000. Belongs to one event loop."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def add(self, text: str) -> None:
        """A line, or several."""
        at = self._now().strftime("%H:%M:%S.%f")[:-3]
        self._lines.extend(f"{at} {line}" for line in text.splitlines())

    def text(self) -> str:
        """All of it."""
        return "".join(f"{line}\n" for line in self._lines)
