"""Remembers which calls were made, so that none is served twice: a call that somebody recorded on the wire is worth
nothing to them.
"""

from dataclasses import dataclass, field

from iris.model.errors import AlreadyExists, ResourceExhausted

# Calls of one ticket may overtake each other by so much.
_WINDOW = 4_096
# Tickets that have not expired, each with a caller.
_MAX_TICKETS = 10_000


@dataclass(slots=True)
class _Seen:
    """Of one ticket: all numbers up to `floor`, and these."""

    expires_at: int
    floor: int = 0
    above: set[int] = field(default_factory=set)


class ReplayGuard:
    """For one host. Not for several threads at once."""

    def __init__(self) -> None:
        self._tickets: dict[str, _Seen] = {}

    def note(self, bearer: str, expires_at: int, number: int, now: float) -> None:
        """Takes a call whose signature is right.

        Raises AlreadyExists for one that was made before, or is too far behind the others of its
        ticket; ResourceExhausted when there are too many callers.
        """
        seen = self._tickets.get(bearer)
        if seen is None:
            self._make_room(now)
            seen = self._tickets[bearer] = _Seen(expires_at)
        if number <= seen.floor or number in seen.above:
            raise AlreadyExists(
                f"Call {number} of {bearer} was made before.", hint="Make it anew, as another call."
            )
        seen.above.add(number)
        while seen.floor + 1 in seen.above:
            seen.floor += 1
            seen.above.discard(seen.floor)
        if len(seen.above) > _WINDOW:
            seen.floor = min(seen.above)
            seen.above.discard(seen.floor)

    def _make_room(self, now: float) -> None:
        if len(self._tickets) < _MAX_TICKETS:
            return
        self._tickets = {
            bearer: seen for bearer, seen in self._tickets.items() if seen.expires_at > now
        }
        if len(self._tickets) >= _MAX_TICKETS:
            raise ResourceExhausted(
                f"This actor has had {_MAX_TICKETS} callers within minutes.",
                hint="Try again later.",
            )
