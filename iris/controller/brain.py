"""A turn of the controller without its I/O: what has arrived is applied, what is due is done, what
can be placed is placed, and all of it is handed over as one transaction.

The control loop carries this out against a real store and real streams, the simulator against
virtual ones: what decides is the same code.
"""

import logging
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from iris.autoscaler.demand import FleetView, ScalingReport
from iris.controller.changes import changes_of
from iris.controller.held_ends import HeldEnd, HeldEnds
from iris.controller.pending_reasons import PendingReasons
from iris.controller.placement import Placement
from iris.controller.silence import SilenceWatch
from iris.controller.state import events
from iris.controller.state.effects import Effects
from iris.controller.state.events import Event
from iris.controller.state.machine import ControllerState
from iris.controller.store import Changes
from iris.host.clock import Clock
from iris.host.ids import IdSource
from iris.model.ids import JobId, WorkerId
from iris.scheduler.policy import SchedulingPolicy
from iris.scheduler.snapshot import Schedule

_log = logging.getLogger(__name__)

# Of one turn, so that its commit comes soon.
_MAX_PRUNED = 1_000


@dataclass(slots=True)
class Turn:
    """What one turn did.

    Attributes:
        events: Everything that happened, in order.
        changes: The records that are new because of it, for the store.
        effects: Whom it concerns.
        reasons_changed: Watched jobs that now wait for another reason than before.
        looked: The scheduler has looked, so there is news for the autoscaler.
    """

    events: list[Event] = field(default_factory=list)
    changes: Changes = field(default_factory=Changes)
    effects: Effects = field(default_factory=Effects)
    reasons_changed: set[JobId] = field(default_factory=set)
    looked: bool = False


class Brain:
    """Decides. Does no I/O and never waits; not thread-safe.

    What it did is not to be told to anybody before `Turn.events` and `Turn.changes` are stored.

    Args:
        chance: Spreads retries.
        lost_after: Seconds of silence after which a worker is given up.
        retention: How long jobs that have ended are kept.
    """

    def __init__(
        self,
        state: ControllerState,
        policy: SchedulingPolicy,
        *,
        clock: Clock,
        ids: IdSource,
        chance: Random,
        lost_after: float,
        retention: timedelta,
    ) -> None:
        self.state = state
        self.held = HeldEnds()
        self.silence = SilenceWatch(lost_after)
        self.reasons = PendingReasons()
        self._placement = Placement(state, policy, ids=ids)
        self._clock = clock
        self._chance = chance
        self._lost_after = lost_after
        self._retention = retention
        self._turn = Turn()
        self._look_again = True
        self._look_at: datetime | None = None
        # Workers that the state knows have the usual time from now to come back.
        for worker in state.fleet:
            self.silence.heard(worker.record.worker_id, clock.monotonic())

    def now(self) -> datetime:
        """Wall-clock time, for events."""
        return self._clock.now()

    def jitter(self) -> float:
        """A random number, for events."""
        return self._chance.random()

    @property
    def wants_turn(self) -> bool:
        """The last turn has left something to be done at once."""
        return self._look_again

    @property
    def last_schedule(self) -> Schedule:
        """The scheduler's last answer."""
        return self._placement.last

    def apply(self, event: events.Event) -> Effects:
        """Takes an event into the turn that is under way; what it alone did.

        Raises what the state says against it; nothing has changed then. (Internal: the state can no
        longer be trusted.)
        """
        for told in self._ends_cut_short_by(event):
            self.apply(told)
        effects = self.state.apply(event)
        self._turn.events.append(event)
        self._turn.effects.add(effects)
        for worker_id in effects.workers:
            if self.state.fleet.get(worker_id) is None:
                self.silence.forget(worker_id)
            elif self.silence.last_heard(worker_id) is None:
                # It was forgotten between its Hello and this: whoever is known is watched.
                self.silence.heard(worker_id, self._clock.monotonic())
        return effects

    def planned(self, report: ScalingReport) -> None:
        """What the autoscaler says, for the reasons why jobs wait."""
        self.reasons.planned(report.outlook)

    def finish(self, watched: Collection[JobId] = ()) -> Turn:
        """Does what is due, places what can be placed, and ends the turn.

        `watched` are the jobs of which somebody wants to know why they wait.
        """
        now = self.now()
        for event in self._due_events(now):
            self.apply(event)
        turn = self._turn
        turn.looked = (
            turn.effects.reschedule
            or self._look_again
            or (self._look_at is not None and self._look_at <= now)
        )
        if turn.looked:
            self._place(now)
        jobs = (self.state.jobs.get(job_id) for job_id in watched)
        turn.reasons_changed = self.reasons.changed(job for job in jobs if job is not None)
        for job_id in turn.reasons_changed:
            self.state.note_reason_changed(job_id)
        turn.changes = changes_of(self.state, turn.effects)
        self._turn = Turn()
        return turn

    def fleet_view(self) -> FleetView:
        """The demand that the scheduler left over when it last looked, and the slices now."""
        return self._placement.fleet_view()

    def event_of(self, end: HeldEnd) -> events.AttemptObserved:
        """An end that waited for its log lines, as an event."""
        return events.AttemptObserved(
            self.now(), end.worker_id, end.incarnation_id, end.observation, self.jitter()
        )

    def seconds_until_due(self) -> float | None:
        """When a turn has something to do though nothing arrives; 0 or less: now. None: never."""
        if self._look_again:
            return 0.0
        monotonic, now = self._clock.monotonic(), self.now()
        moments = (self.silence.next_look(), self.held.next_deadline())
        seconds = [moment - monotonic for moment in moments if moment is not None]
        pruned = self.state.ended.next_prunable()
        due = (
            self.state.next_due(),
            self._look_at,
            pruned + self._retention if pruned is not None else None,
        )
        seconds += [(moment - now).total_seconds() for moment in due if moment is not None]
        return min(seconds, default=None)

    def _place(self, now: datetime) -> None:
        placed = self._placement.place(now)
        self._look_again = placed.schedule.more
        self._look_at = placed.schedule.wake_at
        self.reasons.scheduled(placed.schedule)
        for event in placed.events:
            self.apply(event)

    def _ends_cut_short_by(self, event: events.Event) -> list[events.Event]:
        """Ends that were told before their worker went: they count, though lines are missing."""
        gone: Iterable[WorkerId] = ()
        match event:
            case events.WorkerLost():
                gone = (event.worker_id,)
            case events.WorkerAttached():
                known = self.state.fleet.get(event.worker_id)
                if known is not None and known.record.incarnation_id != event.incarnation_id:
                    gone = (event.worker_id,)
            case events.SliceGone():
                gone = self.state.fleet.in_slice(event.slice_id)
        return [self.event_of(end) for worker_id in gone for end in self.held.of_worker(worker_id)]

    def _due_events(self, now: datetime) -> Iterator[events.Event]:
        """What time alone brings about."""
        monotonic = self._clock.monotonic()
        for end in self.held.overdue(monotonic):
            yield self.event_of(end)
        for worker_id in self.silence.silent(monotonic):
            worker = self.state.fleet.get(worker_id)
            if worker is not None:
                reason = f"worker {worker_id} was silent for {self._lost_after:g} s"
                _log.warning("%s", reason)
                incarnation = worker.record.incarnation_id
                yield events.WorkerLost(now, worker_id, incarnation, reason, self.jitter())
        due = self.state.next_due()
        if due is not None and due <= now:
            yield events.TimePassed(now)
        pruned = self.state.ended.prunable(now - self._retention, _MAX_PRUNED)
        if pruned:
            yield events.JobsPruned(now, pruned)
