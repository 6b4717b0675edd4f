"""Which tasks of a job wait for nothing but a place, in the order in which they are served.

A job begins with all of its tasks ready, and most are taken from the front: then a range says it
all, and a job of a million tasks costs no more than one of a single task.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

NONE_READY = range(0)


@dataclass(slots=True)
class Scattered:
    """Ready tasks that are no range: some left out of turn, or came back.

    Attributes:
        span: Those that never left, but for `left`; served first.
        back: Those that came back, in the order in which they did.
    """

    span: range
    left: set[int] = field(default_factory=set)
    back: dict[int, None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.span) - len(self.left) + len(self.back)

    def __contains__(self, index: object) -> bool:
        return index in self.back or (index in self.span and index not in self.left)

    def __iter__(self) -> Iterator[int]:
        for index in self.span:
            if index not in self.left:
                yield index
        yield from self.back

    def leave(self, index: int) -> None:
        """One that is ready is no more."""
        if index in self.back:
            del self.back[index]
            return
        self.left.add(index)
        # The ends are trimmed, so that looking for the first costs nothing.
        span = self.span
        while span and span[0] in self.left:
            self.left.discard(span[0])
            span = span[1:]
        while span and span[-1] in self.left:
            self.left.discard(span[-1])
            span = span[:-1]
        self.span = span


Ready = range | Scattered


def without(ready: Ready, index: int) -> Ready:
    """One that is ready is no more. The value that was handed in is not used again."""
    if isinstance(ready, range):
        if index == ready.start:
            return range(index + 1, ready.stop) if len(ready) > 1 else NONE_READY
        if index == ready.stop - 1:
            return range(ready.start, index)
        ready = Scattered(ready)
    ready.leave(index)
    return ready if ready else NONE_READY


def with_(ready: Ready, index: int) -> Ready:
    """One that is not ready comes to the end. The value that was handed in is not used again."""
    if isinstance(ready, range):
        if not ready:
            return range(index, index + 1)
        if index == ready.stop:
            return range(ready.start, index + 1)
        ready = Scattered(ready)
    ready.back[index] = None
    return ready
