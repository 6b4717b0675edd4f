"""Who gets a place: strict bands, nobody waits beside room, budgets, gangs whole."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from iris.controller.brain import Turn
from iris.controller.state import events
from iris.model.ids import JobId, WorkerId, index_of, job_of, user_of
from iris.model.priority import PriorityBand
from iris.model.resources import Resources
from iris.scheduler.snapshot import Reservation
from iris.simulation.checkers.checker import Broken, Checker, Evidence
from iris.simulation.checkers.holdings import Holder, Holdings
from iris.simulation.checkers.waiting import Alike, Waiting
from iris.simulation.controller import ControllerProcess

_Kept = dict[WorkerId, set[JobId]]
_Placed = dict[WorkerId, list[tuple[PriorityBand, Resources]]]
BANDS = "strict bands"
# Of virtual seconds: far beyond a turn.
_LONG = 5.0
# Turns in which the scheduler looked again at the same and did nothing.
_RESTLESS = 10


class NobodyWaitsBesideRoom(Checker):
    """By brute force, after every turn: no ready task could run on what was given to a later band in
    this very turn, and none could run on what is free and still waits after the next look.

    Only what has changed since the last look is looked at again: what was too full then and has
    given nothing back is too full still.
    """

    invariant = "no ready task waits beside room"

    def __init__(self, evidence: Evidence, holdings: Holdings, waiting: Waiting) -> None:
        super().__init__(evidence)
        self._holdings = holdings
        self._waiting = waiting
        self._kept: _Kept = {}
        self._kept_before: _Kept = {}
        self._suspects: dict[Alike, float] = {}
        self._restless = 0

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """See Checker."""
        if process.brain.wants_turn:
            self._note_restless(turn)
            return  # it is not done yet: the next turn goes on
        self._restless = 0
        self._note_reservations(process)
        again, self._suspects = self._suspects, {}
        placed = _placed(turn, self.evidence)
        everybody = [one for one in self._holdings.workers.values() if self._holdings.accepts(one)]
        for alike, among in self._to_look_at(again, everybody):
            if not self._within_budget(alike):
                continue
            place = self._place_for(alike, among, everybody, placed)
            if not place:
                continue
            since = again.get(alike, self.evidence.now)
            if alike in again and turn.looked:
                raise self._complaint(alike, place)
            self._suspects[alike] = since

    def _note_restless(self, turn: Turn) -> None:
        """A scheduler that wants to go on has to get on."""
        self._restless = 0 if turn.events else self._restless + 1
        if self._restless > _RESTLESS:
            raise self.broken(f"the scheduler has looked {self._restless} times for nothing")

    def ticked(self) -> None:
        """Nobody has looked for so long though there was something to see."""
        for alike, since in self._suspects.items():
            if alike.tasks and self.evidence.now - since > _LONG:
                raise self._complaint(alike, "room, and nobody looks")

    def crashed(self) -> None:
        """Nobody places while nobody decides."""
        self._suspects.clear()

    def _to_look_at(
        self, again: dict[Alike, float], everybody: list[Holder]
    ) -> Iterator[tuple[Alike, list[Holder]]]:
        """What waits, and the workers that may be news for it."""
        holdings, waiting = self._holdings, self._waiting
        dirty, holdings.dirty = holdings.dirty, set()
        fresh, waiting.dirty = waiting.dirty, set()
        less, holdings.less = holdings.less, set()
        changed = [one for one in everybody if one.record.worker_id in dirty]
        policy = self.evidence.scenario.policy
        for alike in waiting.alike():
            freed = alike.user in less and policy.of_user(alike.user).budget
            among = everybody if alike in fresh or alike in again or freed else changed
            if among:
                yield alike, among

    def _note_reservations(self, process: ControllerProcess) -> None:
        kept: _Kept = defaultdict(set)
        for one in reservations(process):
            if one.expires_at > self.evidence.clock.now():
                for worker_id in one.workers:
                    kept[worker_id].add(one.job_id)
        for worker_id, jobs in self._kept.items():
            if jobs - kept.get(worker_id, set()):
                self._holdings.dirty.add(worker_id)
        self._kept_before, self._kept = self._kept, kept

    def _within_budget(self, alike: Alike) -> bool:
        copies = alike.spec.replicas if alike.is_gang else 1
        return self._holdings.within_budget(alike.user, alike.need, copies) >= copies

    def _is_kept(self, alike: Alike, holder: Holder, kept: _Kept, job_id: JobId | None) -> bool:
        """Whether room there is kept for work that this may not push aside: for a gang, or for
        whatever waits until something there has stopped.
        """
        jobs, attempts = self.evidence.ledger.jobs, self.evidence.ledger.attempts
        for uid in holder.held:
            attempt = attempts.get(uid)
            if attempt is None or attempt.stop is not None or attempt.state.is_terminal:
                return True
        return any(
            other != job_id and other in jobs and jobs[other].spec.priority.rank <= alike.band.rank
            for other in kept.get(holder.record.worker_id, ())
        )

    def _place_for(
        self, alike: Alike, among: list[Holder], everybody: list[Holder], placed: _Placed
    ) -> str:
        """Where it could run on what is free; empty: nowhere. Raises Broken where it could run on
        what a later band was given.
        """
        if not alike.is_gang:
            return self._place_for_single(alike, among, placed)
        if any(alike.may_run_on(holder) for holder in among):
            return self._place_for_gang(alike, everybody, placed)
        return ""

    def _place_for_single(self, alike: Alike, among: list[Holder], placed: _Placed) -> str:
        need, found = alike.need, ""
        for holder in among:
            later = _later(placed.get(holder.record.worker_id, ()), alike.band)
            if not need.fits_in(holder.free if later is None else holder.free + later):
                continue
            if not alike.may_run_on(holder) or self._is_kept(alike, holder, self._kept, None):
                continue
            place = f"{holder.record.worker_id}, where {holder.free} is free"
            if need.fits_in(holder.free):
                found = place
            elif not self._is_kept(alike, holder, self._kept_before, None):
                raise self._out_of_order(alike, alike.name, place, later)
        return found

    def _place_for_gang(self, alike: Alike, everybody: list[Holder], placed: _Placed) -> str:
        assert alike.spec.gang is not None
        size, group_by, found = alike.spec.replicas, alike.spec.gang.group_by, ""
        groups: dict[str, list[Holder]] = defaultdict(list)
        for holder in everybody:
            if group_by in holder.attributes and alike.may_run_on(holder):
                groups[holder.attributes[group_by]].append(holder)
        for job_id, _ in alike.tasks:
            for value, holders in groups.items():
                now = self._room(alike, holders, self._kept, job_id, {})
                if now >= size:
                    found = f"{group_by}={value}"
                    continue
                before = [
                    one for one in holders if not self._is_kept(alike, one, self._kept, job_id)
                ]
                if self._room(alike, before, self._kept_before, job_id, placed) >= size:
                    where = f"{group_by}={value}"
                    raise self._out_of_order(alike, f"the gang {job_id}", where, None)
        return found

    def _room(
        self, alike: Alike, holders: list[Holder], kept: _Kept, job_id: JobId, placed: _Placed
    ) -> int:
        """For how many members, with what later bands were given in this turn."""
        total = 0
        for holder in holders:
            if not self._is_kept(alike, holder, kept, job_id):
                later = _later(placed.get(holder.record.worker_id, ()), alike.band)
                free = holder.free if later is None else holder.free + later
                total += alike.need.copies_in(free, alike.spec.replicas)
        return total

    def _complaint(self, alike: Alike, place: str) -> Broken:
        return self.broken(
            f"{alike.name} ({alike.band.value}, needs {alike.need}) waits beside {place}"
        )

    def _out_of_order(self, alike: Alike, what: str, place: str, given: Resources | None) -> Broken:
        return Broken(
            BANDS,
            f"{what} ({alike.band.value}, needs {alike.need}) waits beside {place}; a later band "
            f"was given {given or 'room'} there in this turn",
            self.evidence.now,
        )


class Budgets(Checker):
    """No user ever holds more than the budget."""

    invariant = "budgets"

    def __init__(self, evidence: Evidence, holdings: Holdings) -> None:
        super().__init__(evidence)
        self._holdings = holdings

    def committed(self, turn: Turn) -> None:
        """See Checker."""
        users = self.evidence.scenario.policy.users
        placed: set[str] = set()
        for event in turn.events:
            if isinstance(event, events.TasksAssigned):
                placed |= {user_of(job_of(one.task_id)) for one in event.assignments}
        for user in placed & set(users):
            held = dict(self._holdings.by_user[user].amounts())
            for name, most in users[user].budget.items():
                if held.get(name, 0) > most:
                    raise self.broken(
                        f"{user} holds {held[name]} of {name}, at most {most} is allowed"
                    )


class GangsWhole(Checker):
    """A gang is placed whole, at once, on workers that really share one value; and so it is told to
    start.
    """

    invariant = "gangs all or none"

    def committed(self, turn: Turn) -> None:
        """See Checker."""
        for event in turn.events:
            if isinstance(event, events.TasksAssigned):
                self._check(event)

    def _check(self, event: events.TasksAssigned) -> None:
        jobs = self.evidence.ledger.jobs
        members: dict[JobId, list[events.Assignment]] = defaultdict(list)
        for one in event.assignments:
            job = jobs.get(job_of(one.task_id))
            if job is not None and job.spec.gang is not None:
                members[job.job_id].append(one)
        for job_id, placed in members.items():
            spec = jobs[job_id].spec
            assert spec.gang is not None
            indices = sorted(index_of(one.task_id) for one in placed)
            if indices != list(range(spec.replicas)):
                raise self.broken(f"of {job_id} ({spec.replicas} tasks) {indices} were placed")
            values = {self._attribute(one.worker_id, spec.gang.group_by) for one in placed}
            if len(values) != 1 or None in values:
                raise self.broken(f"{job_id} was placed on {spec.gang.group_by} = {values}")

    def _attribute(self, worker_id: WorkerId, name: str) -> str | None:
        worker = self.evidence.ledger.workers.get(worker_id)
        return dict(worker.attributes).get(name) if worker is not None else None


def reservations(process: ControllerProcess) -> tuple[Reservation, ...]:
    """What the scheduler keeps free, as of its last look."""
    return process.brain.last_schedule.reservations


def _placed(turn: Turn, evidence: Evidence) -> _Placed:
    """What this turn gave away, by worker."""
    found: _Placed = {}
    for event in turn.events:
        if isinstance(event, events.TasksAssigned):
            for one in event.assignments:
                spec = evidence.ledger.jobs[job_of(one.task_id)].spec
                found.setdefault(one.worker_id, []).append((spec.priority, spec.resources))
    return found


def _later(given: Iterable[tuple[PriorityBand, Resources]], band: PriorityBand) -> Resources | None:
    """What of it went to later bands than this."""
    later = [need for other, need in given if band.may_preempt(other)]
    return sum(later, Resources()) if later else None
