"""One scheduling pass: a pure function from a snapshot of workers and waiting work to placements,
preemptions, reservations and reasons.

Bands are served one after the other, users within a band by their shares (`queue`). What waits comes
in classes of tasks that ask for the same, so what can be found out once per class is not found out
per task: the workers that satisfy its constraints (`pool`), the groups a gang may use (`gangs`), and
why nothing fits (`explain`). The cost of a placement depends neither on how many tasks wait nor,
among machines of few kinds, on how many workers there are.

What finds no room, in this order: a single task that is certain to end in time borrows room that is
kept for a gang; then room is counted that is coming because something is being stopped; then work of
a later band is stopped (`preempt`); a gang has room kept for it (`reservations`).
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

from iris.model.ids import JobId
from iris.model.pending import PendingCode, PendingReason
from iris.model.priority import PriorityBand
from iris.model.resources import Resources, format_amount
from iris.scheduler.gangs import GangIndex, Group, Shortfall
from iris.scheduler.index import Index
from iris.scheduler.preempt import Preemptor
from iris.scheduler.queue import Accounts, BandQueue, Cursor, UserQueue
from iris.scheduler.reservations import Reservations
from iris.scheduler.snapshot import (
    PendingJob,
    Placement,
    Reservation,
    Schedule,
    Snapshot,
    Unplaced,
)

_NO_LIMIT = 1 << 40
# Jobs of one class that are looked at for whether they could borrow room.
_MOST_BORROWERS = 64


def schedule(snapshot: Snapshot) -> Schedule:
    """One pass from nothing. The same snapshot always gives the same answer."""
    return Scheduler().schedule(snapshot)


class Scheduler:
    """Gives the answers of `schedule`, faster: what is known of the machines is kept from pass to
    pass.
    """

    def __init__(self) -> None:
        self._index: Index | None = None

    def schedule(self, snapshot: Snapshot) -> Schedule:
        """One pass."""
        if self._index is None or not self._index.begin(snapshot.workers):
            self._index = Index(snapshot.workers)
        return _Pass(snapshot, self._index).run()


@dataclass(slots=True)
class _Pass:
    snapshot: Snapshot
    index: Index
    placements: list[Placement] = field(default_factory=list)
    unplaced: list[Unplaced] = field(default_factory=list)
    job_reasons: dict[JobId, PendingReason] = field(default_factory=dict)
    gangs_placed: list[JobId] = field(default_factory=list)
    # Whose room is kept for how many tasks that need how much.
    kept_for: list[tuple[str, Resources, int]] = field(default_factory=list)
    # Jobs whose single tasks were promised room that is being released.
    claimants: list[JobId] = field(default_factory=list)
    more: bool = False
    accounts: Accounts = field(init=False)
    preemptor: Preemptor = field(init=False)
    reservations: Reservations = field(init=False)

    def __post_init__(self) -> None:
        shown, table = self.snapshot, self.index.table
        policy = shown.policy
        self.accounts = Accounts(shown.usage, table.total, policy)
        limit = policy.max_preemptions if policy.preemption else 0
        self.preemptor = Preemptor(table, shown.work, shown.now, self.accounts.fraction, limit)
        self.reservations = Reservations(table, shown.work, policy, shown.now, shown.reservations)

    def run(self) -> Schedule:
        for band in PriorityBand:
            self.reservations.keep_from_before(band)
            if not self._serve(band):
                self.more = True
                self.reservations.carry_all(self.gangs_placed)
                break
        if self.unplaced and (self.reservations.has_dropped or self._keeps_in_vain()):
            # What was kept at first, and no longer is, may be of use to work that was turned down.
            self.more = True
        return Schedule(
            placements=tuple(self.placements),
            preemptions=tuple(self.preemptor.chosen),
            unplaced=tuple(self.unplaced),
            job_reasons=self.job_reasons,
            reservations=self.reservations.made,
            more=self.more,
            wake_at=self.reservations.wake_at,
        )

    def _keeps_in_vain(self) -> bool:
        """Whether room is kept for a gang for which its user's budget, after what the user was given later in this
        pass, has none any more: the next pass keeps nothing for it.
        """
        within = self.accounts.within_budget
        return any(within(user, need, size) < size for user, need, size in self.kept_for)

    def _serve(self, band: PriorityBand) -> bool:
        """Serves a band; False if the limit for one pass has been reached."""
        classes = (one for one in self.snapshot.classes if one.band is band and one.tasks)
        queue = BandQueue(band, classes, self.accounts)
        most = self.snapshot.policy.max_placements
        while queue and len(self.placements) < most:
            user, cursor, limit = queue.pop()
            limit = min(limit, most - len(self.placements))
            is_gang = cursor.of.request.gang is not None
            goes_on = self._gang(cursor) if is_gang else self._singles(cursor, limit, user)
            if goes_on and cursor.job is None:
                self._walked_through(cursor)
            queue.push(user, cursor if goes_on else None)
        return not queue

    def _walked_through(self, cursor: Cursor) -> None:
        """Every job of a class that was shown had its turn."""
        if cursor.first_unplaced is not None:
            self._wait(cursor)
        elif cursor.left:
            self.more = True  # a job has more tasks than were shown

    # --- single tasks ----------------------------------------------------------------------------

    def _singles(self, cursor: Cursor, limit: int, user: UserQueue) -> bool:
        """Places tasks of one class, so many at most; False if no more of it can be placed."""
        request, table = cursor.of.request, self.index.table
        need = request.resources
        pool = self.index.pool(request)
        while limit > 0 and cursor.job is not None and cursor.number < user.first:
            allowed = self.accounts.within_budget(cursor.of.user, need, limit)
            position = pool.best(need, cursor.task.avoid) if allowed else None
            if position is None:
                self._no_room(cursor)
                return False
            copies = need.copies_in(table.free[position], allowed)
            worker_id = table.views[position].worker_id
            placed = cursor.place_run(worker_id, copies, user.first, self.placements)
            amount = need if placed == 1 else need * placed
            table.take(position, amount)
            self.accounts.add(cursor.of.user, cursor.of.band, amount)
            limit -= placed
        return True

    def _no_room(self, cursor: Cursor) -> None:
        """No worker has room for a task of this class, or the budget has none."""
        self._borrow(cursor)
        if cursor.job is not None and len(self.placements) >= self.snapshot.policy.max_placements:
            self.more = True  # the next pass borrows on
            return
        if not cursor.left or (cursor.job is None and cursor.first_unplaced is None):
            self._walked_through(cursor)
            return
        job = cursor.first_unplaced or cursor.job
        assert job is not None, "something is left and nothing was passed over"
        need, of = cursor.of.request.resources, cursor.of
        wanted = self.accounts.not_promised(of.user, need, cursor.left)
        if wanted:
            coming = self._claim(cursor, job, wanted)
            coming += self._preempt(cursor, job, wanted - coming)
            if coming:
                self.claimants.append(job.job_id)
            cursor.waits_for_stop = coming
            self.accounts.promise(of.user, need * coming)
        self._wait(cursor)

    def _borrow(self, cursor: Cursor) -> None:
        """Places tasks that are certain to end in time on room that is kept for gangs."""
        table, pool = self.index.table, self.index.pool(cursor.of.request)
        kept = [position for position in sorted(table.holds) if position in pool.misses]
        need, user = cursor.of.request.resources, cursor.of.user
        looked, limit = 0, self.snapshot.policy.max_placements - len(self.placements)
        while kept and limit > 0 and cursor.job is not None and looked < _MOST_BORROWERS:
            ends_by = _ends_by(cursor.job, self.snapshot.now)
            position = None
            if ends_by is not None and self.accounts.within_budget(user, need, 1):
                found = (p for p in kept if need.fits_in(table.lendable(p, ends_by)))
                position = next(found, None)
            if position is None or ends_by is None:
                cursor.pass_over()
                looked += 1
                continue
            worker_id = table.views[position].worker_id
            cursor.place_run(worker_id, 1, _NO_LIMIT, self.placements)
            table.lend(position, need, ends_by)
            self.accounts.add(user, cursor.of.band, need)
            limit -= 1

    def _claim(self, cursor: Cursor, job: PendingJob, wanted: int) -> int:
        """Keeps room that is being released for tasks that have none; for how many."""
        table, pool = self.index.table, self.index.pool(cursor.of.request)
        need, claimed = cursor.of.request.resources, 0
        for position in [p for p in table.coming if p in pool.misses]:
            copies = need.copies_in(table.soon(position), wanted - claimed)
            if copies:
                table.hold(position, job.job_id, need * copies)
                claimed += copies
            if claimed == wanted:
                break
        return claimed

    def _preempt(self, cursor: Cursor, job: PendingJob, wanted: int) -> int:
        if wanted <= 0:
            return 0
        pool = self.index.pool(cursor.of.request)
        need, band = cursor.of.request.resources, cursor.of.band
        return self.preemptor.make_room(job.job_id, band, need, pool, wanted)

    # --- gangs -----------------------------------------------------------------------------------

    def _gang(self, cursor: Cursor) -> bool:
        """Places one gang, or has it wait; False if nothing more is to be done for the class."""
        job, request = cursor.job, cursor.of.request
        assert job is not None, "the class has been walked through"
        need, size = request.resources, request.gang_size
        if self.accounts.within_budget(cursor.of.user, need, size) < size:
            cursor.pass_over()
            self._wait(cursor)
            return False
        index = self.index.gangs(request)
        old = self.reservations.before(job.job_id)
        if old is None or self.reservations.is_resting(job.job_id):
            return self._place_or_wait(cursor, job, index)
        self.index.table.give_up_holds(job.job_id)
        self.index.room_grew()
        cursor.is_stuck = False
        if self._place_gang(cursor, job, index):
            return True
        known = index.shortfall_of(old.value, request.gang_size)
        aside: tuple[Reservation, ...] = ()
        if known is not None:
            members, missing = known.group.members, request.gang_size - known.room
            aside = self.reservations.step_back(job.job_id, members, request.resources, missing)
        cursor.is_stuck = not aside
        goes_on = self._place_or_wait(cursor, job, index)
        self.reservations.come_back(aside)
        return goes_on

    def _place_gang(self, cursor: Cursor, job: PendingJob, index: GangIndex) -> bool:
        """Places a gang, if there is room for all of it."""
        table, request = self.index.table, cursor.of.request
        need, size = request.resources, request.gang_size
        avoid = frozenset().union(*(task.avoid for task in job.tasks))
        positions = None if cursor.is_stuck else index.place(size, avoid)
        if positions is None:
            return False
        self.gangs_placed.append(job.job_id)
        # What was kept for it elsewhere is free again, also for work that was turned down.
        self.more = self.more or self.reservations.before(job.job_id) is not None
        cursor.place_gang((table.views[p].worker_id for p in positions), self.placements)
        for position in positions:
            table.take(position, need)
        self.accounts.add(cursor.of.user, cursor.of.band, need * size)
        return True

    def _place_or_wait(self, cursor: Cursor, job: PendingJob, index: GangIndex) -> bool:
        """Places a gang, or has it wait; False if nothing more is to be done for the class."""
        if self._place_gang(cursor, job, index):
            return True
        # What is free only shrinks: no other gang of the class has room either.
        cursor.is_stuck = True
        self._gang_waits(cursor, job, index)
        cursor.pass_over()
        if self.reservations.is_full and cursor.job is not None:
            self._wait(cursor)
            return False
        return True

    def _gang_waits(self, cursor: Cursor, job: PendingJob, index: GangIndex) -> None:
        size = cursor.of.request.gang_size
        shortfall = index.nearest(size)
        cursor.shortfall = cursor.shortfall or shortfall
        if self.reservations.is_resting(job.job_id):
            self.reservations.carry(job.job_id)
            return
        if shortfall is None or shortfall.group.capacity < size or self.reservations.is_full:
            return
        old = self.reservations.before(job.job_id)
        kept = index.shortfall_of(old.value, size) if old is not None else None
        shortfall = kept or shortfall
        need, band = cursor.of.request.resources, cursor.of.band
        group, before = None, len(self.preemptor.chosen)
        if self.accounts.not_promised(cursor.of.user, need, size) == size:
            group = self._coming_for(index, shortfall, need, size)
            if group is None and self.snapshot.policy.preemption:
                group = self.preemptor.make_room_for_gang(job.job_id, band, need, size, index)
        stopped = len(self.preemptor.chosen) - before
        if group is not None:
            cursor.waits_for_stop += size
            self.accounts.promise(cursor.of.user, need * size)
            shortfall = Shortfall(group, shortfall.room)
        made = self.reservations.make(
            job.job_id,
            band,
            shortfall.group.value,
            shortfall.group.members,
            need,
            size,
            anew=bool(stopped),
        )
        self.kept_for.append((cursor.of.user, need, size))
        if old is None and self._is_claimed(shortfall.group):
            # The next pass keeps room for the gang before it promises any to those that had it promised now.
            self.more = True
        if group is not None:
            self.job_reasons[job.job_id] = _preempting(size, group.value, stopped)
        else:
            self.job_reasons[job.job_id] = self._keeps_room(cursor, shortfall, made)

    def _is_claimed(self, group: Group) -> bool:
        """Whether single tasks were promised room on one of the group's workers in this pass."""
        members, held_for = frozenset(group.members), self.index.table.held_for
        return any(not members.isdisjoint(held_for(job_id)) for job_id in self.claimants)

    def _coming_for(
        self, index: GangIndex, first: Shortfall, need: Resources, size: int
    ) -> Group | None:
        """A group that has room once what is being stopped there is gone; `first` if it does."""
        table = self.index.table
        groups = {first.group.value: first.group}
        for position in table.coming:
            group = index.group_at(position)
            if group is not None and group.capacity >= size:
                groups.setdefault(group.value, group)
        for group in groups.values():
            room = sum(need.copies_in(table.soon(p), size) for p in group.members)
            if room >= size:
                return group
        return None

    def _keeps_room(self, cursor: Cursor, shortfall: Shortfall, made: Reservation) -> PendingReason:
        pool = self.index.pool(cursor.of.request)
        reason = self.index.explainer.explain(cursor.of.request, pool, shortfall)
        until = f"Room is kept for it there until {made.expires_at:%Y-%m-%d %H:%M:%S} UTC"
        if made.starts_by is not None and made.starts_by <= made.expires_at:
            until += f"; it starts by {made.starts_by:%Y-%m-%d %H:%M:%S} UTC"
        return replace(reason, hint=f"{reason.hint} {until}.".strip())

    # --- reasons ---------------------------------------------------------------------------------

    def _wait(self, cursor: Cursor) -> None:
        """Records that something of a class found no place."""
        of, request = cursor.of, cursor.of.request
        job = cursor.first_unplaced or cursor.job
        assert job is not None, "nothing of the class waits"
        size = max(1, request.gang_size)
        # Room that is coming is promised already, and counts as within the budget.
        within = cursor.waits_for_stop + self.accounts.not_promised(
            of.user, request.resources, cursor.left - cursor.waits_for_stop
        )
        within -= within % size
        if self.accounts.within_budget(of.user, request.resources, size) < size:
            reason = self._over_budget(cursor)
        elif request.gang is None and cursor.waits_for_stop:
            reason = _preempting(cursor.waits_for_stop, "", 0)
        else:
            pool = self.index.pool(request)
            reason = self.index.explainer.explain(request, pool, cursor.shortfall)
        self.unplaced.append(
            Unplaced(of.band, of.user, request, job.job_id, reason, cursor.waits_for_stop, within)
        )

    def _over_budget(self, cursor: Cursor) -> PendingReason:
        of = cursor.of
        need = of.request.resources * max(1, of.request.gang_size)
        budget = self.accounts.policy_of(of.user).budget
        held, wanted = dict(self.accounts.held_by(of.user).amounts()), dict(need.amounts())
        name = next(
            name
            for name in sorted(budget)
            if wanted.get(name, 0) and held.get(name, 0) + wanted[name] > budget[name]
        )
        hint = f"There is room once tasks of {of.user} have ended."
        if wanted[name] > budget[name]:
            hint = "It can never run within this budget: ask for less, or have it raised."
        return PendingReason(
            PendingCode.BUDGET_EXHAUSTED,
            name,
            format_amount(name, wanted[name]),
            f"{of.user} holds {format_amount(name, held.get(name, 0))} "
            f"of {format_amount(name, budget[name])}",
            hint=hint,
        )


def _ends_by(job: PendingJob, now: datetime) -> datetime | None:
    if job.ends_by is not None:
        return job.ends_by
    return None if job.lasts is None else now + job.lasts


def _preempting(tasks: int, where: str, stopped: int) -> PendingReason:
    """Room is coming for so many tasks."""
    return PendingReason(
        PendingCode.WAITS_FOR_STOP,
        subject=where,
        nearest=f"room for {tasks} tasks is coming",
        hint="It starts as soon as what is being stopped is gone"
        + (f" ({stopped} attempts of later bands)." if stopped else "."),
    )
