"""The controller's end of the workers' streams: what iris.controller.attach does, in virtual time.

A worker is registered by its Hello. What else it says waits until that is committed; then each
message becomes events and stored log lines, in order.
"""

from typing import TYPE_CHECKING, cast

from iris.controller.held_ends import HeldEnd
from iris.controller.session import Session
from iris.controller.state import events
from iris.controller.state.effects import Effects
from iris.controller.state.machine import ControllerState
from iris.model.errors import Internal, IrisError
from iris.model.ids import AttemptUid
from iris.simulation.clock import Agenda, VirtualClock
from iris.simulation.messages import Goodbye, Health, Hello, Lines, Observed, RunSpec, Seen, Up
from iris.simulation.network import Stream
from iris.simulation.scenario import Timing
from iris.simulation.session import SimulatedSession

if TYPE_CHECKING:
    from iris.simulation.controller import ControllerProcess, MakeEvent


class WorkerStreams:
    """Of one process of the controller. `lines` says how many log lines of each attempt are stored;
    it outlives the process.
    """

    def __init__(
        self,
        process: "ControllerProcess",
        lines: dict[AttemptUid, int],
        timing: Timing,
        *,
        agenda: Agenda,
        clock: VirtualClock,
    ) -> None:
        self._process = process
        self._lines = lines
        self._timing = timing
        self._agenda = agenda
        self._clock = clock
        self._by_stream: dict[Stream, SimulatedSession] = {}
        self._to_flush: dict[SimulatedSession, None] = {}

    def close(self) -> None:
        """All end."""
        for stream in tuple(self._by_stream):
            stream.close_controller()

    def accept(self, stream: Stream) -> None:
        """A worker dials."""
        stream.controller = self

    def stream_ended(self, stream: Stream) -> None:
        """See ControllerEnd."""
        session = self._by_stream.pop(stream, None)
        if session is None or not self._process.alive:
            return
        session.closed = True

        def make(_: ControllerState) -> events.Event | None:
            if not self._process.sessions.remove(real(session)):
                return None
            return events.WorkerDetached(
                self._clock.now(), session.worker_id, session.incarnation_id
            )

        self._process.tell(make)

    def hear(self, stream: Stream, message: Up) -> None:
        """See ControllerEnd."""
        if isinstance(message, Hello):
            session = SimulatedSession(
                message.worker_id,
                message.incarnation_id,
                stream,
                [seen.observation.attempt_uid for seen in message.attempts],
                self._flush_soon,
            )
            self._by_stream[stream] = session
            self._heard(session)
            self._register(session, message)
            return
        known = self._by_stream.get(stream)
        if known is None or known.closed:
            return
        if not known.registered:
            known.backlog.append(message)
            return
        self._take(known, message)

    def _heard(self, session: SimulatedSession) -> None:
        self._process.brain.silence.heard(session.worker_id, self._clock.monotonic())

    def _register(self, session: SimulatedSession, hello: Hello) -> None:
        seen = [one.observation for one in hello.attempts]
        event = events.WorkerAttached(
            at=self._clock.now(),
            worker_id=session.worker_id,
            incarnation_id=session.incarnation_id,
            slice_id=hello.slice_id,
            scale_group=hello.scale_group,
            total=hello.total,
            attributes=hello.attributes,
            host=session.worker_id,
            isolation="simulated",
            version="",
            running=tuple(one.attempt_uid for one in seen if not one.state.is_terminal),
            ended=tuple(one.attempt_uid for one in seen if one.state.is_terminal),
            jitter=self._process.brain.jitter(),
            problems=hello.problems,
        )

        def registered(answer: Effects | IrisError) -> None:
            if isinstance(answer, IrisError):
                raise answer
            if session.closed:
                return
            session.registered = True
            for one in seen:
                if self._is_from(session, one.attempt_uid):
                    lines = self._lines.get(one.attempt_uid, 0)
                    session.acknowledge_lines(one.attempt_uid, lines)
            self._observe(session, hello.attempts)
            for message in session.backlog:
                self._take(session, message)
            session.backlog.clear()

        self._process.request(lambda _: event, registered, session)

    def _take(self, session: SimulatedSession, message: Up) -> None:
        self._heard(session)
        match message:
            case Observed():
                self._observe(session, message.attempts)
            case Lines():
                self._store_lines(session, message)
            case Health():
                self._process.tell(self._health_changed(session, message))
            case Goodbye():
                reason = f"worker {session.worker_id} left: {message.reason}"
                self._process.tell(
                    lambda _: events.WorkerLost(
                        self._clock.now(),
                        session.worker_id,
                        session.incarnation_id,
                        reason,
                        self._process.brain.jitter(),
                    )
                )
            case Hello():
                raise Internal(f"{session.worker_id} says Hello twice on one stream.")

    def _health_changed(self, session: SimulatedSession, said: Health) -> "MakeEvent":
        worker_id, incarnation = session.worker_id, session.incarnation_id

        def make(state: ControllerState) -> events.Event | None:
            known = state.fleet.get(worker_id)
            if known is None or known.record.problems == said.problems:
                return None
            return events.WorkerHealthChanged(
                self._clock.now(), worker_id, incarnation, said.problems
            )

        return make

    def _observe(self, session: SimulatedSession, attempts: tuple[Seen, ...]) -> None:
        for seen in attempts:
            observation = seen.observation
            if observation.state.is_terminal and self._waits_for_lines(session, seen):
                continue
            self._process.brain.held.drop(observation.attempt_uid)
            if self._process.state.is_news(session.worker_id, session.incarnation_id, observation):
                self._process.tell(self._observed(session, observation))

    def _observed(self, session: SimulatedSession, seen: events.Observation) -> "MakeEvent":
        worker, incarnation = session.worker_id, session.incarnation_id

        def make(state: ControllerState) -> events.Event | None:
            if not state.is_news(worker, incarnation, seen):
                return None
            return events.AttemptObserved(
                self._clock.now(), worker, incarnation, seen, self._process.brain.jitter()
            )

        return make

    def _waits_for_lines(self, session: SimulatedSession, seen: Seen) -> bool:
        uid = seen.observation.attempt_uid
        known = self._process.state.jobs.attempt(uid)
        if known is None or known.state.is_terminal or not self._is_from(session, uid):
            return False
        if self._lines.get(uid, 0) >= seen.lines:
            return False
        until = self._clock.monotonic() + 2 * self._timing.log_flush
        end = HeldEnd(
            session.worker_id, session.incarnation_id, seen.observation, seen.lines, until
        )
        self._process.brain.held.hold(end)
        self._process.wake()
        return True

    def _store_lines(self, session: SimulatedSession, message: Lines) -> None:
        uid = message.uid
        if self._is_from(session, uid):
            stored = max(self._lines.get(uid, 0), message.next_index)
            self._lines[uid] = stored
            end = self._process.brain.held.lines_arrived(uid, stored)
            if end is not None:
                held = end
                self._process.tell(lambda _: self._process.brain.event_of(held))
        session.acknowledge_lines(uid, message.next_index)

    def _is_from(self, session: SimulatedSession, uid: AttemptUid) -> bool:
        attempt = self._process.state.jobs.attempt(uid)
        return (
            attempt is not None
            and attempt.worker_id == session.worker_id
            and attempt.incarnation_id == session.incarnation_id
        )

    def _spec_of(self, uid: AttemptUid) -> RunSpec | None:
        attempt = self._process.state.jobs.attempt(uid)
        job = self._process.state.jobs.get(attempt.job_id) if attempt is not None else None
        if attempt is None or job is None or not attempt.state.is_active:
            return None
        spec = job.record.spec
        return RunSpec(
            job.job_id, attempt.index, attempt.number, spec.resources, spec.entrypoint.argv[0]
        )

    def _flush_soon(self, session: SimulatedSession) -> None:
        if not self._to_flush:
            self._agenda.at(self._agenda.now, self._flush)
        self._to_flush[session] = None

    def _flush(self) -> None:
        sessions, self._to_flush = self._to_flush, {}
        if self._process.alive:
            for session in sessions:
                session.flush(self._spec_of)


def real(session: SimulatedSession) -> Session:
    """What Sessions asks of a session, this one has."""
    return cast(Session, session)
