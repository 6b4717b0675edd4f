"""What of a scale group outlives the controller's process, as text that can be stored.

A restart would else ask a failing platform at once, take slices that were up for ones that never
came, and judge groups anew. Slices themselves are not remembered: the platform says which there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import msgspec

from iris.autoscaler.groups import NO_BACKOFF, Backoff, Exhausted
from iris.autoscaler.health import UNKNOWN_HEALTH, Health
from iris.autoscaler.pace import NO_PACE, Pace
from iris.model.errors import DataLoss
from iris.model.ids import SliceId


class ScalingMemory(Protocol):
    """Where it is kept: one text for each scale group, by its name. Runs on the autoscaler's event
    loop; one call at a time.
    """

    async def load(self) -> Mapping[str, bytes]:
        """All that was saved last. Raises IrisError when it cannot be read."""

    async def save(self, records: Mapping[str, bytes]) -> None:
        """Replaces those of these groups, all or none. Raises IrisError when it cannot."""


@dataclass(frozen=True, slots=True)
class BootedSlice:
    """A slice that came up.

    Attributes:
        judged: Whether its fate is part of its group's health.
    """

    at: datetime
    judged: bool = False


@dataclass(frozen=True, slots=True)
class GroupMemory:
    """Of one group.

    Attributes:
        booted: Slices that came up, as far as they were there when this was saved.
    """

    backoff: Backoff = NO_BACKOFF
    exhausted: Exhausted | None = None
    health: Health = UNKNOWN_HEALTH
    pace: Pace = NO_PACE
    booted: Mapping[SliceId, BootedSlice] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, record: bytes) -> "GroupMemory":
        """Raises DataLoss for what `to_bytes` did not write."""
        try:
            return msgspec.json.decode(record, type=cls)
        except msgspec.MsgspecError as error:
            raise DataLoss(
                f"What was remembered of a scale group cannot be read: {error}."
            ) from error
