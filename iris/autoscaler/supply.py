"""One scale group as a plan draws on it: what comes, what stands idle, and what may yet be bought."""

from collections.abc import Mapping
from datetime import datetime

from iris.autoscaler.capacity import Capacity, Room, RoomRef
from iris.autoscaler.demand import SliceOccupancy
from iris.autoscaler.groups import GroupState, SliceState
from iris.autoscaler.settings import AutoscalerSettings
from iris.model.ids import SliceId

NEVER_SEEN = SliceOccupancy(workers=0, attempts=0, idle_since=None)


class Supply:
    """The slices of one group in one plan.

    Attributes:
        state: The group, without slices that are given up.
        coming: The slices that are on their way, those that this plan buys included.
        needed: Idle slices that demand is packed into: they do not go back.
    """

    def __init__(
        self,
        state: GroupState,
        seen: Mapping[SliceId, SliceOccupancy],
        settings: AutoscalerSettings,
        now: datetime,
    ) -> None:
        self.state = state
        self._settings = settings
        self._allowed = state.pace.allowed(now, settings)
        self.coming = Capacity(state.group)
        self.needed: set[SliceId] = set()
        self._seen = seen
        self._bought = 0
        self._idle: Capacity | None = None
        self._unnamed: list[Room] = []
        for one in state.slices:
            if not one.booted:
                slice_id = one.slice.slice_id
                self.coming.add(Room.of_slice(state.group, slice_id, self.occupancy(one)))
        for _ in range(state.creating):
            self._add_unnamed()

    def occupancy(self, one: SliceState) -> SliceOccupancy:
        """What the view shows of a slice."""
        return self._seen.get(one.slice.slice_id, NEVER_SEEN)

    @property
    def exist(self) -> int:
        """Slices that are or will be, without those that are being given back."""
        return len(self.state.slices) + self.state.creating + self._bought

    def headroom(self, now: datetime) -> int:
        """How many more slices may be bought now."""
        return max(0, min(self._headroom(now), self._allowed - self._bought))

    def opens_at(self, now: datetime) -> datetime:
        """When its pace allows another slice."""
        pace = self.state.pace.after(self._bought, now, self._settings)
        return pace.opens_at(now, self._settings)

    def is_paced(self, now: datetime) -> bool:
        """Whether it is only its pace that does not let more be bought now."""
        return self._bought >= self._allowed and self._headroom(now) > 0

    def comes_bit_by_bit(self, now: datetime) -> bool:
        """Whether more slices may be bought than now, a little later."""
        return self.state.is_trying or self._headroom(now) > self._allowed - self._bought

    def _headroom(self, now: datetime) -> int:
        return self.state.headroom(self.exist, len(self.coming.rooms), now)

    @property
    def most_more(self) -> int:
        """How many more slices there may ever be beside those that are or will be."""
        return self.state.group.max_slices - self.exist - self.state.leaving

    def is_ready(self, one: SliceState) -> bool:
        """Whether a slice is complete, well, and nothing runs there."""
        seen = self.occupancy(one)
        complete = one.booted and one.incomplete_since is None
        return complete and not seen.attempts and not seen.closed

    def spare(self) -> int:
        """Slices that nothing runs on and nothing is packed into: those that are ready and those on
        their way.
        """
        ready = sum(
            self.is_ready(one) and one.slice.slice_id not in self.needed
            for one in self.state.slices
        )
        return ready + sum(not room.in_use for room in self.coming.rooms)

    def buy(self) -> None:
        """Adds a slice."""
        self._bought += 1
        self._add_unnamed()

    def idle(self) -> Capacity:
        """Whole slices that stand idle. Of use only to gangs that take several: one that fits into
        them would be there.
        """
        if self._idle is None:
            self._idle = Capacity(self.state.group)
            for one in self.state.slices:
                seen = self.occupancy(one)
                if one.booted and one.incomplete_since is None and not seen.attempts:
                    room = Room.of_slice(self.state.group, one.slice.slice_id, seen)
                    self._idle.add(room)
        return self._idle

    def _add_unnamed(self) -> None:
        room = Room.of_new_slice(self.state.group, len(self._unnamed))
        self._unnamed.append(room)
        self.coming.add(room)


class Rooms:
    """Finds the rooms of the last plan again."""

    def __init__(self, supply: Supply, known: frozenset[SliceId]) -> None:
        """`known`: the slices that had a name then."""
        self._supply = supply
        self._coming = {room.ref: room for room in supply.coming.rooms}
        self._idle: dict[RoomRef, Room] | None = None
        # Slices are named in the order in which they were asked for, as far as it matters: they are
        # all alike.
        ids = (one.slice.slice_id for one in supply.state.slices)
        self._named: list[RoomRef] = [slice_id for slice_id in ids if slice_id not in known]

    def coming(self, ref: RoomRef) -> Room | None:
        """One that is on its way; None if it is no more."""
        return self._coming.get(self._now(ref))

    def idle(self, ref: RoomRef) -> Room | None:
        """One that stands idle."""
        if self._idle is None:
            self._idle = {room.ref: room for room in self._supply.idle().rooms}
        return self._idle.get(self._now(ref))

    def _now(self, ref: RoomRef) -> RoomRef:
        """Its name now."""
        if isinstance(ref, str):
            return ref
        return self._named[ref] if ref < len(self._named) else ref - len(self._named)
