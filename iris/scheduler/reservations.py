"""Room that is kept for gangs that have to wait, so that smaller work that comes later cannot keep
them waiting for ever; and when such a gang starts at the latest.

A gang keeps waiting for the group that it waited for before, as long as that group can hold it once
what runs there has ended. Otherwise it is the group with the most room now of those in which
nothing is kept for another job. Room is kept for as many members as the gang has: what is free on
the group's workers, freest first, what is coming there because something is being stopped, and what
still runs in its place as it ends. If it is known when enough has ended, room is kept where that is.

Reservations of a band are made before anything of that band is served, so that a user whose turn
comes first does not take what is kept for another's gang; what comes first in an earlier band does.
Of gangs of one band that wait in one group, the one that has waited longest goes first, whoever is
served first: otherwise each could keep what the other needs, and both would wait until they expire.

Later work may use kept room if it is certain to be gone when the gang can start (back-fill). The
estimate counts on the known ends of what runs in the way; what has no known end never ends, and what
a gang that goes first waits for is not counted. If what is left is too little, nobody knows when the
gang starts, and nothing is lent. What was lent is back by then, so lending never moves the estimate.
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from iris.model.ids import JobId
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.snapshot import Reservation, Work
from iris.scheduler.workers import WorkerTable

_NO_LIMIT = 1 << 40
_NOTHING = Resources()


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

    def step_back(
        self, job_id: JobId, members: Iterable[int], each: Resources, missing: int
    ) -> tuple[Reservation, ...]:
        """Gives up what is kept on these workers for gangs of the same band that have not waited as
        long as this one, if it makes room for the `missing` members of it. They come back to what
        it leaves them (`come_back`).

        Otherwise two gangs could each keep what the other one needs.
        """
        own = self._before[job_id]
        behind = self._behind(job_id, own.band, own.made_at)
        table = self._table
        found: set[JobId] = set()
        for position in members:
            theirs = [
                hold
                for hold in table.holds.get(position, ())
                if hold.job_id in behind and hold.free != _NOTHING
            ]
            if theirs:
                found.update(hold.job_id for hold in theirs)
                free = table.free[position]
                missing += each.copies_in(free, _NO_LIMIT)
                for hold in theirs:
                    free += hold.free
                missing -= each.copies_in(free, _NO_LIMIT)
        if missing > 0:
            return ()
        aside = sorted((behind[other] for other in found), key=self._order)
        for one in aside:
            table.give_up_holds(one.job_id)
        return tuple(aside)

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
        behind = self._behind(job_id, band, made_at)
        kept, starts_by = self._hold(job_id, members, each, size, behind)
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

    def _behind(
        self, job_id: JobId, band: PriorityBand, since: datetime
    ) -> dict[JobId, Reservation]:
        """The reservations of gangs of the band that do not go before this one, by job."""
        own = (since, self._rank.get(job_id, len(self._rank)))
        known = {**self._before, **self._made}
        return {
            other: one
            for other, one in known.items()
            if one.band is band and other != job_id and self._order(one) > own
        }

    def _order(self, one: Reservation) -> tuple[datetime, int]:
        """Who has waited longest comes first; of those that came in one pass, who was served first."""
        return one.made_at, self._rank[one.job_id]

    def _keep(self, one: Reservation) -> tuple[list[int], datetime | None]:
        table = self._table
        positions = [table.position_of[w] for w in one.workers if w in table.position_of]
        behind = self._behind(one.job_id, one.band, one.made_at)
        return self._hold(one.job_id, positions, one.each, one.size, behind)

    def _next_change(self, one: Reservation) -> datetime:
        if self._now < one.expires_at:
            return one.expires_at
        return one.expires_at + self._policy.reservation_lasts

    def _hold(
        self,
        job_id: JobId,
        positions: Sequence[int],
        each: Resources,
        size: int,
        behind: Container[JobId],
    ) -> tuple[list[int], datetime | None]:
        """Keeps room on these workers; on which, and when the gang starts at the latest."""
        table, left = self._table, size
        free = {position: table.soon(position) for position in positions}
        room = {p: each.copies_in(amount, _NO_LIMIT) for p, amount in free.items()}
        later = dict(room)
        for position in positions:
            awaited = table.awaited(position, behind)
            if awaited is not None:
                # What those that go first wait for is theirs when it ends.
                free[position] -= awaited
                later[position] = each.copies_in(free[position], _NO_LIMIT)
        starts_by = self._estimate(free, later, each, size)
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
        self, free: dict[int, Resources], room: dict[int, int], each: Resources, size: int
    ) -> datetime | None:
        """When so many members have room at the latest. What is being stopped counts as gone.

        Args:
            free: On each worker, as if nothing ended; afterwards as it is then.
            room: For how many members that is; likewise.
        """
        table, positions = self._table, tuple(free)
        total = sum(room.values())
        if total >= size:
            return self._now
        ends = [
            (one.ends_by, position, one.resources)
            for position in positions
            for one in self._work.on(table.views[position].worker_id)
            if one.ends_by is not None and not one.stopping
        ]
        ends += [
            (ends_by, p, amount) for p in positions for ends_by, amount in table.lent.get(p, ())
        ]
        for ends_by, position, amount in sorted(ends, key=lambda end: end[:2]):
            free[position] += amount
            copies = each.copies_in(free[position], _NO_LIMIT)
            total += copies - room[position]
            room[position] = copies
            if total >= size:
                return max(ends_by, self._now)
        return None
