"""Saves what the autoscaler has to remember, whenever it has changed, and brings it back at a start.

It is a help, and no truth: what cannot be read is told and forgotten, what cannot be saved is saved
later, and nothing waits for it.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta

from iris.autoscaler.memory import GroupMemory, ScalingMemory
from iris.autoscaler.slices import ManagedGroup
from iris.host.clock import Clock
from iris.model.errors import DataLoss, IrisError

_LOG = logging.getLogger(__name__)


class Keeper:
    """Of all groups. `memory` may be None: then there is nothing to do."""

    def __init__(
        self,
        groups: Mapping[str, ManagedGroup],
        memory: ScalingMemory | None,
        *,
        clock: Clock,
        retry: timedelta,
    ) -> None:
        self._groups = groups
        self._memory = memory
        self._clock = clock
        self._retry = retry
        self._saved: dict[str, tuple[object, ...]] = {}
        self._changed = asyncio.Event()

    async def recall(self) -> None:
        """Brings back what was saved of the groups that there are. Once, before anything else."""
        found: Mapping[str, bytes] = {}
        if self._memory is not None:
            try:
                found = await self._memory.load()
            except IrisError as error:
                _LOG.warning("What was remembered of the scale groups is lost: %s", error)
        for name, group in self._groups.items():
            try:
                if name in found:
                    group.recall(GroupMemory.from_bytes(found[name]), self._clock.now())
            except DataLoss as error:
                _LOG.warning("%s: %s", name, error)
            self._saved[name] = group.signature()

    def look(self) -> None:
        """Something may have changed."""
        if self._memory is not None and self._unsaved():
            self._changed.set()

    async def run(self) -> None:
        """Saves what has changed, one save after the other, until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not await self.save():
                await self._clock.sleep(self._retry.total_seconds())
                self._changed.set()

    async def save(self) -> bool:
        """Saves all that has changed; whether that could be done."""
        unsaved = self._unsaved()
        if self._memory is None or not unsaved:
            return True
        records = {name: self._groups[name].memory().to_bytes() for name in unsaved}
        try:
            await self._memory.save(records)
        except IrisError as error:
            _LOG.warning("What there is to remember of the scale groups is not saved: %s", error)
            return False
        self._saved |= unsaved
        return True

    def _unsaved(self) -> dict[str, tuple[object, ...]]:
        signatures = {name: group.signature() for name, group in self._groups.items()}
        return {name: now for name, now in signatures.items() if now != self._saved.get(name, now)}
