"""Room that is kept for gangs that have to wait, so that smaller work that comes later cannot keep
them waiting for ever; and when such a gang starts at the latest.

A gang keeps waiting for the group that it waited for before, as long as that group can hold it once
what runs there has ended. Otherwise it is the group with the most room now of those in which
nothing is kept for another job. On the group's workers, freest first, room for as many members as
the gang has is kept: as much of it as is free, and as is coming because something there is being
stopped; what still runs in its place is the gang's as it ends. Of workers on which nobody knows when
that is, none is waited for if others do. Reservations of a band are made before anything of that
band is served, so that a user whose turn comes first does not take what is kept for another's gang;
what comes first in an earlier band does.

Later work may use kept room if it is certain to be gone when the gang can start (back-fill). The
estimate counts on the known ends of what runs in the way; what has no known end never ends. So one
attempt without a known end in the way means that nobody knows, and nothing is lent.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from iris.model.ids import JobId
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.snapshot import Reservation, Work
from iris.scheduler.workers import WorkerTable

_NO_LIMIT = 1 << 40


class Reservations:
    """Those of one pass."""

    def __init__(
        self,
        table: WorkerTable,
        work: Work,
        policy: SchedulingPolicy,
        now: datetime,
        before: Iterable[Reservation],
    ) -> None:
        self._table = table
        self._work = work
        self._policy = policy
        self._now = now
        self._before = {one.job_id: one for one in before}
        self._rank = {job_id: rank for rank, job_id in enumerate(self._before)}
        self._made: dict[JobId, Reservation] = {}
        self._active = 0

    @property
    def made(self) -> tuple[Reservation, ...]:
        """What the next pass has to be handed: whoever has waited longest comes first."""
        return tuple(sorted(self._made.values(), key=self._order))

    @property
    def has_dropped(self) -> bool:
        """Whether a worker on which room was kept when the pass began is no longer kept for that
        job.
        """
        return any(
            self._now < one.expires_at
            and (job_id not in self._made or set(one.workers) - set(self._made[job_id].workers))
            for job_id, one in self._before.items()
        )

    @property
    def wake_at(self) -> datetime | None:
        """When time alone changes one of them."""
        return min(map(self._next_change, self._made.values()), default=None)

    @property
    def is_full(self) -> bool:
        """Whether room is kept for as many gangs as may be."""
        return self._active >= self._policy.max_reservations

    def before(self, job_id: JobId) -> Reservation | None:
        """What the job had in the last pass, unless it has been forgotten since."""
        one = self._before.get(job_id)
        if one is None or one.expires_at + self._policy.reservation_lasts <= self._now:
            return None
        return one

    def is_resting(self, job_id: JobId) -> bool:
        """Whether the job's reservation has expired, so that it gets none for a while."""
        one = self.before(job_id)
        return one is not None and one.expires_at <= self._now

    def keep_from_before(self, band: PriorityBand) -> None:
        """Keeps the room of a band's gangs that is kept already, before the band is served."""
        for one in self._before.values():
            if one.band is band and self._now < one.expires_at:
                self._keep(one)

    def step_back(self, job_id: JobId, members: Iterable[int]) -> tuple[Reservation, ...]:
        """Gives up what is kept for a gang whose turn it is, so that it is placed or kept anew, and
        what is kept on these workers for those that have not waited as long as it has. The latter
        are returned: they come back to what is left then (`come_back`).

        Otherwise two gangs could each keep what the other one needs.
        """
        own = self._known(job_id)
        there = {hold.job_id for p in members for hold in self._table.holds.get(p, ())}
        others = (self._known(other) for other in there if other != job_id)
        aside = [
            one
            for one in others
            if one is not None
            and own is not None
            and one.band is own.band
            and self._order(one) > self._order(own)
        ]
        self._table.give_up_holds(job_id)
        for one in aside:
            self._table.give_up_holds(one.job_id)
        return tuple(sorted(aside, key=self._order))

    def come_back(self, aside: Iterable[Reservation]) -> None:
        """See step_back."""
        for one in aside:
            kept, starts_by = self._keep(one)
            if one.job_id in self._made:
                workers = tuple(self._table.views[position].worker_id for position in kept)
                self._made[one.job_id] = replace(one, workers=workers, starts_by=starts_by)

    def carry(self, job_id: JobId) -> None:
        """The job's reservation stays as it is: it rests, or the job's turn did not come."""
        one = self.before(job_id)
        if one is not None:
            self._made[job_id] = one

    def carry_all(self, placed: Iterable[JobId]) -> None:
        """The pass ends early: what is kept for gangs whose turn did not come stays kept."""
        done = set(placed)
        for job_id in self._before:
            if job_id not in done and job_id not in self._made:
                self.carry(job_id)

    def make(
        self,
        job_id: JobId,
        band: PriorityBand,
        value: str,
        members: Sequence[int],
        each: Resources,
        size: int,
        *,
        anew: bool,
    ) -> Reservation:
        """Keeps room for a gang in one group; `anew`: it lasts as long as a new one."""
        old = self.before(job_id)
        goes_on = old is not None and old.value == value and not anew
        made_at = old.made_at if old is not None and goes_on else self._now
        kept, starts_by = self._hold(job_id, members, each, size)
        one = Reservation(
            job_id,
            band,
            value,
            tuple(self._table.views[position].worker_id for position in kept),
            each,
            size,
            made_at,
            made_at + self._policy.reservation_lasts,
            starts_by,
        )
        self._made[job_id] = one
        self._rank.setdefault(job_id, len(self._rank))
        self._active += 1
        return one

    def _known(self, job_id: JobId) -> Reservation | None:
        return self._made.get(job_id) or self._before.get(job_id)

    def _order(self, one: Reservation) -> tuple[datetime, int]:
        """Who has waited longest comes first; of those that came in one pass, who was served first."""
        return one.made_at, self._rank[one.job_id]

    def _keep(self, one: Reservation) -> tuple[list[int], datetime | None]:
        table = self._table
        positions = [table.position_of[w] for w in one.workers if w in table.position_of]
        return self._hold(one.job_id, positions, one.each, one.size)

    def _next_change(self, one: Reservation) -> datetime:
        if self._now < one.expires_at:
            return one.expires_at
        return one.expires_at + self._policy.reservation_lasts

    def _hold(
        self, job_id: JobId, positions: Sequence[int], each: Resources, size: int
    ) -> tuple[list[int], datetime | None]:
        """Keeps room on these workers; on which, and when the gang starts at the latest."""
        table, left = self._table, size
        room = {p: each.copies_in(table.soon(p), _NO_LIMIT) for p in positions}
        starts_by, later = self._estimate(positions, each, size)
        kept = []
        for position in sorted(positions, key=lambda p: (-room[p], -later[p], p)):
            copies = min(left, later[position])
            if starts_by is None:
                copies = each.copies_in(table.views[position].total, left)
            if copies:
                table.hold(position, job_id, each * copies, starts_by)
                kept.append(position)
                left -= copies
        return sorted(kept), starts_by

    def _estimate(
        self, positions: Sequence[int], each: Resources, size: int
    ) -> tuple[datetime | None, dict[int, int]]:
        """When so many members have room at the latest, and how many on which worker then. What is
        being stopped counts as gone; what others wait for goes to them.
        """
        table = self._table
        free = {position: table.soon(position) - table.awaited(position) for position in positions}
        room = {p: each.copies_in(amount, _NO_LIMIT) for p, amount in free.items()}
        total = sum(room.values())
        if total >= size:
            return self._now, room
        ends = sorted(
            (one.ends_by, position, one.attempt_uid, one.resources)
            for position in positions
            for one in self._work.on(table.views[position].worker_id)
            if one.ends_by is not None and not one.stopping
        )
        for ends_by, position, _, amount in ends:
            free[position] += amount
            copies = each.copies_in(free[position], _NO_LIMIT)
            total += copies - room[position]
            room[position] = copies
            if total >= size:
                return max(ends_by, self._now), room
        return None, room
