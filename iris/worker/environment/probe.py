"""Finding out one kind of thing about a machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """What a probe found.

    Attributes:
        accelerators: As in Resources.
        attributes: Named as in iris.model.fleet.
        problem: What is there and cannot be used, for people.
    """

    accelerators: tuple[tuple[str, int], ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing of its kind here."""
        return not self.accelerators and not self.attributes


class MachineProbe(Protocol):
    """Looks for one kind of thing. Never raises: what cannot be found out is not there."""

    @property
    def name(self) -> str:
        """For the attribute `found-by`."""

    async def look(self) -> Found:
        """What there is, within a bounded time."""
