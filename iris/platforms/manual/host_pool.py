"""Which hosts of a group are free, in use, or set aside, as far as this process knows. What the hosts themselves say
counts more: see agent.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from iris.host.clock import Clock
from iris.model.errors import ResourceExhausted


@dataclass(slots=True)
class _Host:
    """`holder` is the VM that has it, `rests_until` is on the monotonic clock."""

    name: str
    holder: str = ""
    rests_until: float = 0.0
    why: str = ""


class HostPool:
    """Belongs to one event loop."""

    def __init__(self, names: Sequence[str], set_aside: timedelta, clock: Clock) -> None:
        self._hosts = {name: _Host(name) for name in names}
        self._set_aside = set_aside.total_seconds()
        self._clock = clock

    def take(self, holders: Sequence[str]) -> list[str]:
        """A host for each of these VMs. Raises ResourceExhausted, with what became of the others, if
        there are too few; none is taken then.

        Those that were never set aside come first.
        """
        now = self._clock.monotonic()
        free = [one for one in self._hosts.values() if not one.holder and one.rests_until <= now]
        free.sort(key=lambda one: one.rests_until)
        if len(free) < len(holders):
            raise ResourceExhausted(self._shortage(len(holders), len(free), now))
        for host, holder in zip(free, holders, strict=False):
            host.holder = holder
        return [host.name for host in free[: len(holders)]]

    def hold(self, name: str, holder: str) -> None:
        """The VM was found to have it. A host that is not in the configuration any more is nobody else's, either."""
        self._hosts.setdefault(name, _Host(name)).holder = holder

    def is_held(self, name: str) -> bool:
        """Whether a VM that this process knows of has it."""
        return bool(self._hosts[name].holder)

    def give_back(self, name: str) -> None:
        """It is free for the next."""
        self._hosts[name].holder = ""

    def set_aside(self, name: str, why: str) -> None:
        """It is left alone for a while."""
        host = self._hosts[name]
        host.holder, host.why = "", why
        host.rests_until = self._clock.monotonic() + self._set_aside

    def resting(self) -> dict[str, str]:
        """Hosts that are set aside now, and why."""
        now = self._clock.monotonic()
        return {one.name: one.why for one in self._hosts.values() if one.rests_until > now}

    def _shortage(self, needed: int, free: int, now: float) -> str:
        held = sum(1 for one in self._hosts.values() if one.holder)
        text = (
            f"A slice needs {needed} hosts; of {len(self._hosts)}, {free} are free, {held} in use"
        )
        resting = [one for one in self._hosts.values() if not one.holder and one.rests_until > now]
        if not resting:
            return f"{text}."
        why = "; ".join(
            f"{one.name} (for {one.rests_until - now:.0f} s): {one.why}" for one in resting
        )
        return f"{text}, {len(resting)} set aside: {why}"
