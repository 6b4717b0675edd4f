"""Simulated workers: they speak the workers' protocol, and what they run only passes time.

What to start, to stop and to forget is decided by the real `Reconciler`. The rest follows
iris.worker: ends are kept until they are acknowledged, told again with every heartbeat and on every
new stream; every process has an incarnation of its own; a stream that ends is dialled again after a
while, longer each time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from iris.controller.state.events import Observation
from iris.model.errors import Internal
from iris.model.health import HealthProblem
from iris.model.ids import AttemptUid
from iris.model.states import TaskState
from iris.simulation.clock import Agenda, Chances, Entry, VirtualClock
from iris.simulation.facts import Facts, Process, Run
from iris.simulation.messages import (
    Acknowledge,
    Desired,
    Down,
    Goodbye,
    Health,
    Hello,
    Lines,
    LinesTaken,
    Observed,
    RunSpec,
    Seen,
    Welcome,
)
from iris.simulation.network import Network, Stream
from iris.simulation.scenario import Behaviour, Outcome, Timing
from iris.worker.reconcile import Reconciler, Wanted
from iris.worker.stream.backoff import Backoff

# A controller that is there answers at once.
_WELCOME_SECONDS = 10.0
# A worker says what is when it comes to it: that an attempt is being built, only if that takes time.
_WORTH_TELLING = 0.5
_ILL = (HealthProblem("disk", "it is full"),)
_EXIT_CODES = {TaskState.SUCCEEDED: 0, TaskState.FAILED: 1}


class Dialled(Protocol):
    """Where a worker finds its controller."""

    def accept(self, stream: Stream) -> bool:
        """Whether there is one that takes the call."""


@dataclass(slots=True)
class Surroundings:
    """What all workers of a world share."""

    agenda: Agenda
    clock: VirtualClock
    chances: Chances
    network: Network
    facts: Facts
    timing: Timing
    behaviour_of: Callable[[str], Behaviour]
    controller: Dialled


@dataclass(slots=True, eq=False)
class _Attempt:
    """An attempt that a worker has."""

    run: Run
    behaviour: Behaviour
    state: TaskState = TaskState.BUILDING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    next: Entry | None = None
    lines_taken: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether its program is gone."""
        return self.finished_at is not None

    @property
    def lines(self) -> int:
        """It writes one line, when it ends."""
        return 1 if self.has_ended and self.started_at is not None else 0

    def seen(self, *, with_end: bool = True) -> Seen:
        """What its worker says of it; without its end, as it was right before."""
        if not with_end and self.has_ended:
            state = TaskState.RUNNING if self.started_at is not None else TaskState.BUILDING
            return Seen(Observation(self.run.uid, state, started_at=self.started_at))
        observation = Observation(
            self.run.uid,
            self.state,
            exit_code=_EXIT_CODES.get(self.state),
            started_at=self.started_at,
            finished_at=self.finished_at,
        )
        return Seen(observation, self.lines)


class WorkerProcess:
    """One process of a worker."""

    def __init__(self, process: Process, scale_group: str, around: Surroundings) -> None:
        self.process = process
        self._scale_group = scale_group
        self._around = around
        self._attempts: dict[AttemptUid, _Attempt] = {}
        self._reconciler: Reconciler[RunSpec] = Reconciler()
        self._stream: Stream | None = None
        self._streams = 0
        self._welcomed = False
        self._problems: tuple[HealthProblem, ...] = ()
        self._was_ill = False
        self._timer: Entry | None = None
        self._backoff = Backoff(around.chances.of("backoff", process.incarnation_id))
        self.dial()

    @property
    def has_attempts(self) -> bool:
        """Whether there is any that it has not forgotten."""
        return bool(self._attempts)

    def ends_before(self, moment: float) -> list[AttemptUid]:
        """Attempts that had ended by then and that it still has: nobody has acknowledged them."""
        return [
            uid
            for uid, attempt in self._attempts.items()
            if attempt.run.ended_at is not None and attempt.run.ended_at < moment
        ]

    # --- the stream -----------------------------------------------------------------------------

    def dial(self) -> None:
        """Calls the controller and says what there is."""
        around = self._around
        self._streams += 1
        number = f"{self.process.incarnation_id}.{self._streams}"
        stream = around.network.dial(self.process.worker_id, number, self)
        if not around.controller.accept(stream):
            self._timer = around.agenda.after(self._backoff.next(), self.dial)
            return
        self._stream, self._welcomed = stream, False
        attempts = [
            # An end is told once its lines are there; until then it goes on for the controller.
            attempt.seen(with_end=attempt.lines_taken >= attempt.lines)
            for attempt in self._attempts.values()
        ]
        stream.up(
            Hello(
                self.process.worker_id,
                self.process.incarnation_id,
                self.process.slice_id,
                self._scale_group,
                self.process.total,
                tuple(sorted(self.process.attributes.items())),
                tuple(attempts),
                self._problems,
            )
        )
        self._timer = around.agenda.after(_WELCOME_SECONDS, self._not_welcomed)

    def hear(self, stream: Stream, message: Down) -> None:
        """See WorkerEnd."""
        if stream is not self._stream:
            return
        match message:
            case Welcome():
                self._on_welcome()
            case Desired():
                self._on_desired(message)
            case Acknowledge():
                for uid in self._reconciler.acknowledged(message.uids):
                    del self._attempts[uid]
            case LinesTaken():
                attempt = self._attempts.get(message.uid)
                if attempt is not None:
                    attempt.lines_taken = max(attempt.lines_taken, message.next_index)

    def stream_ended(self, stream: Stream) -> None:
        """See WorkerEnd."""
        if stream is self._stream:
            self._redial()

    def break_stream(self) -> None:
        """Fault injection: its stream breaks, and both ends learn it at once."""
        if self._stream is not None:
            self._stream.break_now()

    def fall_ill(self, seconds: float) -> None:
        """Fault injection: it is not well, and says so, for that long."""
        self._was_ill = True
        self._note_health(_ILL)
        self._around.agenda.after(seconds, lambda: self._note_health(()))

    def _note_health(self, problems: tuple[HealthProblem, ...]) -> None:
        self._problems = problems
        self._tell_health()

    def _tell_health(self) -> None:
        if self._stream is not None and self._welcomed:
            self._stream.up(Health(self._problems))

    def leave(self, reason: str) -> None:
        """Goes in good order: what it runs is ended and not told, then it says goodbye and ends."""
        if self._stream is not None and self._welcomed:
            self._stream.up(Goodbye(reason))
        self.die()

    def die(self) -> None:
        """Ends at once, and all that it runs. Nobody is told, but an open stream breaks."""
        for attempt in self._attempts.values():
            if attempt.next is not None:
                attempt.next.cancel()
        self._attempts.clear()
        self._stop_timer()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close_worker()
        self._around.facts.died(self.process, self._around.agenda.now)

    def _redial(self) -> None:
        self._stream, self._welcomed = None, False
        self.process.serving = False
        self._stop_timer()
        self._timer = self._around.agenda.after(self._backoff.next(), self.dial)

    def _not_welcomed(self) -> None:
        stream, self._timer = self._stream, None
        if stream is not None:
            stream.close_worker()
        self._redial()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_welcome(self) -> None:
        if self._welcomed:
            return  # doubled on its way
        self._stop_timer()
        self._backoff.reset()
        self._welcomed = True
        self._timer = self._around.agenda.after(self._around.timing.heartbeat, self._heartbeat)
        for attempt in self._attempts.values():
            if attempt.has_ended and attempt.lines_taken < attempt.lines:
                self._tell(attempt)

    def _on_desired(self, message: Desired) -> None:
        try:
            actions = self._reconciler.desired(
                complete=message.complete,
                run=[Wanted(uid, spec) for uid, spec in message.run],
                stop=message.stop,
            )
        except Internal:
            # The two sides have lost each other: a new stream begins with what there is.
            stream = self._stream
            if stream is not None:
                stream.close_worker()
            self._redial()
            return
        for stop in actions.stop:
            self._stop(self._attempts[stop.uid])
        for uid, spec in actions.start:
            self._start(uid, spec)
        if message.complete and not self.process.serving:
            self.process.serving = True
            self.process.serving_since = self._around.agenda.now

    def _heartbeat(self) -> None:
        stream = self._stream
        if stream is None:
            return
        self._timer = self._around.agenda.after(self._around.timing.heartbeat, self._heartbeat)
        running = tuple(
            attempt.seen() for attempt in self._attempts.values() if not attempt.has_ended
        )
        stream.up(Observed(running))
        if self._was_ill:
            # This network loses single messages, which no stream does: so it is said again.
            self._tell_health()
        ends = tuple(attempt.seen() for attempt in self._attempts.values() if attempt.has_ended)
        if ends:
            stream.up(Observed(ends))

    # --- attempts -------------------------------------------------------------------------------

    def _start(self, uid: AttemptUid, spec: RunSpec) -> None:
        around = self._around
        run = around.facts.started(uid, spec, self.process, around.agenda.now)
        attempt = _Attempt(run, around.behaviour_of(spec.program))
        self._attempts[uid] = attempt
        seconds = attempt.behaviour.build
        attempt.next = around.agenda.after(seconds, lambda: self._built(attempt))
        if seconds > _WORTH_TELLING:
            self._tell(attempt)

    def _built(self, attempt: _Attempt) -> None:
        around, spec, behaviour = self._around, attempt.run.spec, attempt.behaviour
        chance = around.chances.of("attempt", spec.program, spec.index, spec.number)
        outcome = (
            behaviour.outcomes[spec.number]
            if spec.number < len(behaviour.outcomes)
            else Outcome.FAIL
            if chance.random() < behaviour.failure_rate
            else Outcome.SUCCEED
        )
        if outcome is Outcome.REFUSE:
            self._finish(attempt, TaskState.FAILED)
            return
        attempt.state, attempt.started_at = TaskState.RUNNING, around.clock.now()
        seconds = behaviour.duration
        if behaviour.spread:
            seconds *= (1 + behaviour.spread) ** chance.uniform(-1.0, 1.0)
        end = TaskState.SUCCEEDED if outcome is Outcome.SUCCEED else TaskState.FAILED
        attempt.next = around.agenda.after(seconds, lambda: self._finish(attempt, end))
        self._tell(attempt)

    def _stop(self, attempt: _Attempt) -> None:
        around = self._around
        attempt.run.stopping_at = around.agenda.now
        seconds = attempt.behaviour.stop if attempt.state is TaskState.RUNNING else 0.0
        if attempt.next is not None and attempt.next.at <= around.agenda.now + seconds:
            return  # it ends by itself before it would have to
        if attempt.next is not None:
            attempt.next.cancel()
        attempt.next = around.agenda.after(seconds, lambda: self._finish(attempt, TaskState.KILLED))

    def _finish(self, attempt: _Attempt, end: TaskState) -> None:
        around = self._around
        attempt.next = None
        attempt.state, attempt.finished_at = end, around.clock.now()
        self._reconciler.finished(attempt.run.uid)
        around.facts.ended(attempt.run, end, around.agenda.now)
        self._tell(attempt)

    def _tell(self, attempt: _Attempt) -> None:
        if self._stream is None or not self._welcomed:
            return
        if attempt.lines > attempt.lines_taken:
            self._stream.up(Lines(attempt.run.uid, attempt.lines))
        self._stream.up(Observed((attempt.seen(),)))
