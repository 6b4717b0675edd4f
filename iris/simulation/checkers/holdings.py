"""What every worker and every user holds, kept from the events and records that were committed: the
checkers' own account, beside the controller's.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from iris.controller.brain import Turn
from iris.controller.state import events
from iris.controller.state.records import AttemptRecord, WorkerRecord
from iris.model.ids import AttemptUid, JobId, SliceId, WorkerId, user_of
from iris.model.resources import Resources
from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.controller import ControllerProcess

_NOTHING = Resources()


@dataclass(slots=True, eq=False)
class Holder:
    """A worker.

    Attributes:
        held: What runs there as far as the controller was told, given-up attempts that it came back
            with included.
        strangers: What it said it runs though nobody knows it any more: until that has ended it is
            given nothing, because nobody knows what room it leaves.
        ill: It says that it is not well.
    """

    record: WorkerRecord
    attributes: dict[str, str]
    free: Resources
    connected: bool = False
    ill: bool = False
    held: dict[AttemptUid, Resources] = field(default_factory=dict)
    strangers: set[AttemptUid] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Active:
    """An attempt that has not ended."""

    job_id: JobId
    worker_id: WorkerId
    need: Resources


class Holdings(Checker):
    """Also a checker: nothing that is placed exceeds what is free, and the controller's own account
    is the same.

    Attributes:
        dirty: Workers that have changed since whoever looks has looked.
        by_user: What each user's attempts hold.
        given_up: What their attempts hold that were given up, and that a worker came back with.
        less: Users who hold less than before.
    """

    invariant = "no worker's capacity is exceeded"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self.workers: dict[WorkerId, Holder] = {}
        self.dirty: set[WorkerId] = set()
        self.by_user: dict[str, Resources] = defaultdict(Resources)
        self.given_up: dict[str, Resources] = defaultdict(Resources)
        self.less: set[str] = set()
        self._draining: set[SliceId] = set()
        self._told: set[AttemptUid] = set()
        self._ghosts: dict[AttemptUid, tuple[str, Resources]] = {}
        self._active: dict[AttemptUid, _Active] = {}

    def accepts(self, holder: Holder) -> bool:
        """Whether it gets work."""
        record = self.evidence.ledger.workers.get(holder.record.worker_id, holder.record)
        draining = record.drained or record.slice_id in self._draining
        return holder.connected and not draining and not holder.strangers and not holder.ill

    def within_budget(self, user: str, need: Resources, limit: int) -> int:
        """How many times that much the user may hold more, at most `limit`."""
        held = self.by_user[user] + self.given_up[user]
        return self.evidence.scenario.policy.of_user(user).copies_within(need, held, limit)

    def recovered(self, process: ControllerProcess) -> None:
        """Nobody is connected, and nobody knows who was draining, nor of what was given up."""
        self._draining.clear()
        for holder in self.workers.values():
            holder.connected = False
            self._forget_ghosts(holder)
        self.dirty |= set(self.workers)

    def committed(self, turn: Turn) -> None:
        """Takes the turn in."""
        for gone in turn.changes.gone_workers:
            self._forget(gone)
        for event in turn.events:
            self._take(event)
        if turn.changes.pruned:
            self._end_forgotten(turn.changes.pruned)
        for attempt in turn.changes.attempts:
            self._attempt(attempt)
        self._take_ghosts(turn)

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """The controller's account of whoever was touched has to be the same."""
        touched = {attempt.worker_id for attempt in turn.changes.attempts}
        for worker_id in touched:
            mine, theirs = self.workers.get(worker_id), process.state.fleet.get(worker_id)
            if (mine is None) != (theirs is None):
                raise self.broken(f"the controller knows {worker_id}: {theirs is not None}")
            if mine is not None and theirs is not None and mine.free != theirs.free:
                raise self.broken(
                    f"{worker_id} has {mine.free} free, for the controller {theirs.free}"
                )

    def finished(self, process: ControllerProcess) -> None:
        """All is given back."""
        for worker in process.state.fleet:
            if worker.free != worker.record.total:
                raise self.broken(
                    f"all has ended, and of {worker.record.worker_id} only {worker.free} is free"
                )

    def _take(self, event: events.Event) -> None:
        match event:
            case events.WorkerAttached():
                self._attach(event)
            case events.WorkerDetached():
                holder = self.workers.get(event.worker_id)
                if holder is not None and holder.record.incarnation_id == event.incarnation_id:
                    holder.connected = False
            case events.WorkerHealthChanged():
                self._note_health(event)
            case events.WorkerDrainChanged():
                self.dirty |= {event.worker_id} & set(self.workers)
            case events.SliceDraining():
                self._draining.add(event.slice_id)
            case events.WorkerLost() | events.SliceGone():
                self._lose(event)
            case events.AttemptObserved() if event.observation.state.is_terminal:
                self._note_end(event)

    def _note_end(self, event: events.AttemptObserved) -> None:
        uid = event.observation.attempt_uid
        self._told.add(uid)
        holder = self.workers.get(event.worker_id)
        if holder is None:
            return
        if uid in holder.strangers:
            holder.strangers.discard(uid)
            self.dirty.add(event.worker_id)
        if uid not in self._active:
            self._release(holder, uid)

    def _note_health(self, event: events.WorkerHealthChanged) -> None:
        holder = self.workers.get(event.worker_id)
        if holder is not None and holder.record.incarnation_id == event.incarnation_id:
            holder.ill = bool(event.problems)
            self.dirty.add(event.worker_id)

    def _lose(self, event: events.WorkerLost | events.SliceGone) -> None:
        """Whoever comes back after that comes anew."""
        if isinstance(event, events.SliceGone):
            self._draining.discard(event.slice_id)
        for holder in tuple(self.workers.values()):
            record = holder.record
            if isinstance(event, events.SliceGone):
                is_lost = record.slice_id == event.slice_id
            else:
                theirs = (record.worker_id, record.incarnation_id)
                is_lost = theirs == (event.worker_id, event.incarnation_id)
            if is_lost:
                self._forget_ghosts(holder)

    def _attach(self, event: events.WorkerAttached) -> None:
        record = self.evidence.ledger.workers.get(event.worker_id)
        if record is None or record.incarnation_id != event.incarnation_id:
            return  # gone again in the same turn
        holder = self.workers.get(event.worker_id)
        if holder is None or holder.record.incarnation_id != event.incarnation_id:
            self._forget(event.worker_id)
            holder = Holder(record, dict(record.attributes), record.total)
            self.workers[event.worker_id] = holder
        holder.connected = True
        holder.ill = bool(event.problems)
        known = self.evidence.ledger.attempts
        holder.strangers = {
            uid for uid in event.running if uid not in known and uid not in holder.held
        }
        for uid in [uid for uid in holder.held if uid not in self._active]:
            if uid not in event.running and uid not in event.ended:
                self._release(holder, uid)
        self.dirty.add(event.worker_id)

    def _take_ghosts(self, turn: Turn) -> None:
        """Given up while their worker was away, and still there: they hold their places."""
        for event in turn.events:
            if not isinstance(event, events.WorkerAttached):
                continue
            holder = self.workers.get(event.worker_id)
            if holder is None or holder.record.incarnation_id != event.incarnation_id:
                continue
            for uid in event.running:
                attempt = self.evidence.ledger.attempts.get(uid)
                if attempt is None or uid in holder.held or not attempt.state.is_terminal:
                    continue
                if attempt.incarnation_id == event.incarnation_id and uid not in self._told:
                    need = self.evidence.ledger.jobs[attempt.job_id].spec.resources
                    self._hold(holder, uid, need)
                    self._ghosts[uid] = user_of(attempt.job_id), need
                    self.given_up[user_of(attempt.job_id)] += need

    def _attempt(self, attempt: AttemptRecord) -> None:
        uid = attempt.uid
        if attempt.state.is_active and uid not in self._active:
            need = self.evidence.ledger.jobs[attempt.job_id].spec.resources
            self._active[uid] = _Active(attempt.job_id, attempt.worker_id, need)
            self.by_user[user_of(attempt.job_id)] += need
            holder = self.workers.get(attempt.worker_id)
            if holder is None:
                raise self.broken(f"{uid} was placed on {attempt.worker_id}, which is gone")
            self._hold(holder, uid, need)
            if any(amount < 0 for _, amount in holder.free.amounts()):
                raise self.broken(f"{uid} ({need}) leaves {holder.free} on {attempt.worker_id}")
        elif attempt.state.is_terminal and uid in self._active:
            self._end(uid)

    def _end(self, uid: AttemptUid) -> None:
        ended = self._active.pop(uid)
        user = user_of(ended.job_id)
        self.by_user[user] -= ended.need
        self.less.add(user)
        holder = self.workers.get(ended.worker_id)
        if holder is not None:
            self._release(holder, uid)

    def _end_forgotten(self, job_ids: tuple[JobId, ...]) -> None:
        """Attempts that ended in the turn in which their job was forgotten."""
        for uid in [uid for uid, one in self._active.items() if one.job_id in job_ids]:
            self._end(uid)

    def _forget_ghosts(self, holder: Holder) -> None:
        for uid in [uid for uid in holder.held if uid not in self._active]:
            self._release(holder, uid)

    def _hold(self, holder: Holder, uid: AttemptUid, need: Resources) -> None:
        holder.held[uid] = need
        holder.free -= need
        self.dirty.add(holder.record.worker_id)

    def _release(self, holder: Holder, uid: AttemptUid) -> None:
        need = holder.held.pop(uid, None)
        if need is not None:
            holder.free += need
            self.dirty.add(holder.record.worker_id)
        self._exorcise(uid)

    def _exorcise(self, uid: AttemptUid) -> None:
        ghost = self._ghosts.pop(uid, None)
        if ghost is not None:
            self.given_up[ghost[0]] -= ghost[1]
            self.less.add(ghost[0])

    def _forget(self, worker_id: WorkerId) -> None:
        holder = self.workers.pop(worker_id, None)
        self.dirty.discard(worker_id)
        for uid in holder.held if holder is not None else ():
            self._exorcise(uid)
