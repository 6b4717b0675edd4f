"""One process of the controller, from its recovery to its end, in virtual time.

What iris.controller.loop and iris.controller.attach do with tasks and streams, done with callbacks:
turns, answers after the commit, sessions, ends that wait for log lines. Everything that decides
(Brain, Sessions, Database, Launch) is the real code.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

from iris.autoscaler.demand import ScalingReport
from iris.controller.brain import Brain, Turn
from iris.controller.sessions import Sessions
from iris.controller.state import events
from iris.controller.state.effects import Effects
from iris.controller.state.machine import ControllerState
from iris.controller.store.database import Database
from iris.host.ids import IdSource
from iris.model.errors import Internal, IrisError
from iris.model.ids import AttemptUid, SliceId
from iris.simulation.autoscaling import PlanWitness, SimulatedAutoscaler
from iris.simulation.clock import Agenda, Entry, VirtualClock
from iris.simulation.cloud import Cloud
from iris.simulation.scenario import CrashPoint, Scenario
from iris.simulation.session import SimulatedSession
from iris.simulation.streams import WorkerStreams, real

MakeEvent = Callable[[ControllerState], events.Event | None]
Answer = Callable[["Effects | IrisError"], None]


@dataclass(slots=True)
class Disk:
    """What survives a process of the controller.

    Attributes:
        lines: Of each attempt, how many log lines are stored.
    """

    path: Path
    lines: dict[AttemptUid, int] = field(default_factory=dict)


class TurnWitness(PlanWitness, Protocol):
    """Who wants to know what the controller does."""

    def committed(self, turn: Turn) -> None:
        """A turn is stored; nobody has been told yet."""

    def turned(self, process: "ControllerProcess", turn: Turn) -> None:
        """A turn is over, and everybody was told."""

    def recovered(self, process: "ControllerProcess") -> None:
        """A process has restored what was stored, and done nothing else yet."""

    def should_crash(self, point: CrashPoint) -> bool:
        """Whether the process dies here."""


@dataclass(slots=True)
class _Entry:
    make: MakeEvent
    answer: Answer | None = None
    session: SimulatedSession | None = None


class ControllerProcess:
    """See the module."""

    def __init__(
        self,
        scenario: Scenario,
        disk: Disk,
        cloud: Cloud,
        *,
        agenda: Agenda,
        clock: VirtualClock,
        ids: IdSource,
        chance: Random,
        witness: TurnWitness,
    ) -> None:
        self.alive = True
        self._timing = scenario.timing
        self._agenda = agenda
        self._clock = clock
        self._witness = witness
        self._database = Database.open(disk.path, durable=False)
        self.state = _recover(self._database, scenario, clock)
        self.brain = Brain(
            self.state,
            scenario.policy,
            clock=clock,
            ids=ids,
            chance=chance,
            lost_after=scenario.timing.lost_after,
            retention=scenario.timing.retention,
        )
        self.autoscaler = SimulatedAutoscaler(
            cloud,
            self,
            scenario.autoscaling,
            agenda=agenda,
            clock=clock,
            witness=witness,
            memory=self._database,
        )
        self.sessions = Sessions(self.state)
        self._inbox: deque[_Entry] = deque()
        self.streams = WorkerStreams(self, disk.lines, scenario.timing, agenda=agenda, clock=clock)
        self._report: ScalingReport | None = None
        self._view_wanted = False
        self._turn_entry: Entry | None = None
        self._ready_at = 0.0
        witness.recovered(self)
        self.wake()
        self.autoscaler.start(self._forget_vanished_slices)

    # --- life -----------------------------------------------------------------------------------

    def die(self) -> None:
        """Ends at once; what was committed is on the disk, everything else is lost."""
        self.alive = False
        self.autoscaler.stop()
        if self._turn_entry is not None:
            self._turn_entry.cancel()
        self._database.close()
        self.streams.close()

    def _forget_vanished_slices(self) -> None:
        exist = self.autoscaler.knows()
        known = {worker.record.slice_id for worker in self.state.fleet if not worker.connected}
        for slice_id in sorted(known - exist):
            self.slice_gone(
                slice_id, f"slice {slice_id} did not outlive the last controller", _done
            )

    # --- Fleet ----------------------------------------------------------------------------------

    def drain_slice(self, slice_id: SliceId, done: Callable[[bool], None]) -> None:
        """See iris.autoscaler.demand.Fleet."""
        drained = False

        def make(state: ControllerState) -> events.Event | None:
            nonlocal drained
            known = state.fleet.slices.get(slice_id)
            drained = known is None or not known.attempts
            return events.SliceDraining(self._clock.now(), slice_id) if drained else None

        def answer(_: Effects | IrisError) -> None:
            done(drained)
            if not drained:
                self._view_wanted = True
                self.wake()

        self.request(make, answer)

    def slice_gone(self, slice_id: SliceId, reason: str, done: Callable[[], None]) -> None:
        """See iris.autoscaler.demand.Fleet."""
        event = events.SliceGone(self._clock.now(), slice_id, reason, self.brain.jitter())
        self.request(lambda _: event, lambda _: done())

    def scaling_changed(self, report: ScalingReport) -> None:
        """See iris.autoscaler.demand.Fleet."""
        self._report = report
        self.wake()

    # --- what others ask of it ------------------------------------------------------------------

    def request(
        self, make: MakeEvent, answer: Answer, session: SimulatedSession | None = None
    ) -> None:
        """See ControlLoop.request: the answer comes once it is committed."""
        self._inbox.append(_Entry(make, answer, session))
        self.wake()

    def tell(self, make: MakeEvent) -> None:
        """See ControlLoop.tell."""
        self._inbox.append(_Entry(make))
        self.wake()

    # --- turning (see iris.controller.loop) ------------------------------------------------------

    def wake(self, at: float | None = None) -> None:
        """A turn begins then (now, without a time), or as soon as the last one is over."""
        moment = max(self._ready_at, self._agenda.now if at is None else at)
        if not self.alive:
            return
        if self._turn_entry is not None:
            if self._turn_entry.at <= moment:
                return
            self._turn_entry.cancel()
        self._turn_entry = self._agenda.at(moment, self._turn)

    def _turn(self) -> None:
        self._turn_entry = None
        self._ready_at = self._agenda.now + self._timing.turn
        answers: list[tuple[Answer, Effects | IrisError]] = []
        inbox, self._inbox = self._inbox, deque()
        for entry in inbox:
            self._apply(entry, answers)
        if self._report is not None:
            self.brain.planned(self._report)
            self._report = None
        turn = self.brain.finish()
        for worker_id in turn.effects.workers:
            if self.state.fleet.get(worker_id) is None:
                self.sessions.end(worker_id)
        if self._witness.should_crash(CrashPoint.BEFORE_COMMIT):
            return
        if turn.events:
            self._database.commit(turn.events, turn.changes)
        self._witness.committed(turn)
        if self._witness.should_crash(CrashPoint.AFTER_COMMIT):
            return
        self._tell_all(turn, answers)
        if not self._witness.should_crash(CrashPoint.AFTER_TURN):
            self._plan_next_turn()

    def _tell_all(self, turn: Turn, answers: list[tuple[Answer, Effects | IrisError]]) -> None:
        """Everything that depended on the commit."""
        for answer, what in answers:
            answer(what)
        self.sessions.tell(turn.effects)
        self._view_wanted = self._view_wanted or turn.looked
        if self._view_wanted and not self.brain.wants_turn:
            self._view_wanted = False
            self.autoscaler.observe(self.brain.fleet_view())
        self._witness.turned(self, turn)

    def _plan_next_turn(self) -> None:
        if self._inbox or self._report is not None:
            self.wake()
            return
        seconds = self.brain.seconds_until_due()
        if seconds is not None:
            self.wake(self._agenda.now + max(0.0, seconds))

    def _apply(self, entry: _Entry, answers: list[tuple[Answer, Effects | IrisError]]) -> None:
        what: Effects | IrisError
        try:
            event = entry.make(self.state)
            what = self.brain.apply(event) if event is not None else Effects()
            if entry.session is not None:
                self.sessions.replace(real(entry.session))
        except Internal:
            raise
        except IrisError as error:
            if entry.answer is None:
                raise
            what = error
        if entry.answer is not None:
            answers.append((entry.answer, what))


def _recover(database: Database, scenario: Scenario, clock: VirtualClock) -> ControllerState:
    """As iris.controller.controller does."""
    stored = database.load()
    state = ControllerState(scenario.retry)
    state.restore(
        stored.jobs,
        {job_id: list(tasks) for job_id, tasks in stored.tasks.items()},
        stored.attempts,
        stored.workers,
        clock.now(),
        stored.next_number,
    )
    return state


def _done() -> None:
    pass
