"""What others are shown of many things that change one by one."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class ViewList(Generic[K, V]):
    """A tuple with a view of each thing. The view of one that has not changed is the same object as
    before, at the same position; asking again costs about as much as has changed.

    Args:
        make: Makes the view of one.
    """

    __slots__ = ("_changed", "_keys", "_make", "_positions", "_shown", "_views")

    def __init__(self, make: Callable[[K], V]) -> None:
        self._make = make
        self._keys: list[K] = []
        self._views: list[V] = []
        self._positions: dict[K, int] = {}
        self._changed: dict[K, None] = {}
        self._shown: tuple[V, ...] | None = ()

    def change(self, key: K) -> None:
        """One that is new, or has another view now."""
        self._changed[key] = None

    def remove(self, key: K) -> None:
        """One that is gone; the last one takes its place. Nothing happens if it was never there."""
        self._changed.pop(key, None)
        position = self._positions.pop(key, None)
        if position is None:
            return
        last, view = self._keys.pop(), self._views.pop()
        if position < len(self._keys):
            self._keys[position], self._views[position] = last, view
            self._positions[last] = position
        self._shown = None

    def views(self) -> tuple[V, ...]:
        """All of them, in the order in which they came, but for those that filled a gap."""
        for key in self._changed:
            position = self._positions.get(key)
            if position is None:
                self._positions[key] = len(self._keys)
                self._keys.append(key)
                self._views.append(self._make(key))
            else:
                self._views[position] = self._make(key)
        if self._changed or self._shown is None:
            # Copied as a whole, which for 10,000 is a matter of 20 microseconds: so what was handed
            # out stays as it was, and who compares it with the next one finds what is new.
            self._shown = tuple(self._views)
            self._changed.clear()
        return self._shown
