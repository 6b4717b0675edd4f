"""The one place where the controller's state changes.

A turn takes everything that has arrived, applies it, places what can be placed, and commits all of
that at once. Only then do callers get their answers, workers their orders, watchers their news and
the autoscaler its view: nobody is told what a crash could still undo. The loop sleeps until
something arrives or is due.

Whatever goes wrong in a turn ends the loop: the state in memory may then be ahead of the store, so
the process has to end too (`wait_failed`) and begin again from what was committed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

from iris.autoscaler.demand import CapacityPlanner, ScalingReport
from iris.controller.changes import changes_of
from iris.controller.held_ends import HeldEnd, HeldEnds
from iris.controller.placement import Placement
from iris.controller.session import Session
from iris.controller.sessions import Sessions
from iris.controller.silence import SilenceWatch
from iris.controller.state import events
from iris.controller.state.effects import Effects
from iris.controller.state.machine import ControllerState
from iris.controller.store import Store
from iris.controller.watch import WatchHub
from iris.host.clock import Clock
from iris.model.errors import Internal, IrisError, ResourceExhausted, Unavailable
from iris.model.ids import JobId, WorkerId

_log = logging.getLogger(__name__)

# What may wait for the next turn. Beyond that workers wait and callers are refused.
_MAX_WAITING = 50_000
# What one turn takes at most, so that its commit, and with it every answer, comes soon.
_MAX_PER_TURN = 10_000

# Makes the event when its turn has come, from the state as it is then; None: there is nothing to
# do.
MakeEvent = Callable[[ControllerState], events.Event | None]


@dataclass(slots=True)
class _Entry:
    make: MakeEvent
    done: asyncio.Future[Effects] | None = None
    session: Session | None = None


@dataclass(slots=True)
class _Turn:
    """What has happened in a turn so far."""

    applied: list[events.Event] = field(default_factory=list)
    effects: Effects = field(default_factory=Effects)
    reasons_changed: set[JobId] = field(default_factory=set)


class ControlLoop:
    """Owns a ControllerState. For one event loop; whoever starts it awaits `stop`.

    Args:
        chance: Spreads retries.
        lost_after: Seconds of silence after which a worker is given up.
    """

    def __init__(
        self,
        state: ControllerState,
        store: Store,
        planner: CapacityPlanner,
        hub: WatchHub,
        placement: Placement,
        *,
        clock: Clock,
        chance: Random,
        lost_after: float,
    ) -> None:
        self.state = state
        self.held = HeldEnds()
        self.silence = SilenceWatch(lost_after)
        self._store = store
        self._planner = planner
        self._hub = hub
        self._placement = placement
        self._clock = clock
        self._chance = chance
        self._lost_after = lost_after
        self._sessions = Sessions(state)
        self._inbox: deque[_Entry] = deque()
        self._room = asyncio.Event()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._report: ScalingReport | None = None
        # Of the turn that is under way; None for an entry that ended the loop.
        self._answers: list[tuple[asyncio.Future[Effects], Effects | IrisError | None]] = []
        self._look_again = True
        self._view_wanted = False
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    # --- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to turn.

        Workers that the state knows have the usual time from now to come back.
        """
        for worker in self.state.fleet:
            self.silence.heard(worker.record.worker_id, self._clock.monotonic())
        self._settled.set()
        self._task = asyncio.create_task(self._run(), name="controller-loop")

    async def stop(self) -> None:
        """Finishes what has arrived, commits it, and ends. Idempotent."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            # Not awaited itself: who is cancelled while waiting for it must not cancel a turn.
            await asyncio.wait([self._task])

    async def wait_failed(self) -> BaseException:
        """What ended the loop. Never returns if nothing does."""
        return await asyncio.shield(self._failure)

    @property
    def problem(self) -> str:
        """Why nothing more is taken; empty while all is well."""
        if self._failure.done():
            return f"The controller has failed: {self._failure.result()}"
        return "The controller is stopping." if self._stopping else ""

    # --- what others ask of it ---------------------------------------------------------------

    def now(self) -> datetime:
        """Wall-clock time, for events."""
        return self._clock.now()

    def jitter(self) -> float:
        """A random number, for events."""
        return self._chance.random()

    async def request(self, make: MakeEvent, session: Session | None = None) -> Effects:
        """Has an event applied; returns what it did once that is committed.

        With a session, the event registers its worker, and the session takes the place of an older
        one of the same worker.

        Raises what the state says against it, ResourceExhausted when too much waits already, or
        Unavailable when the loop has ended.
        """
        if len(self._inbox) >= _MAX_WAITING:
            raise ResourceExhausted(
                f"{len(self._inbox)} changes wait for the controller.", hint="Try again in a while."
            )
        done: asyncio.Future[Effects] = asyncio.get_running_loop().create_future()
        self._put(_Entry(make, done, session))
        return await done

    async def tell(self, make: MakeEvent) -> None:
        """Has an event applied soon; waits only while too much waits already.

        Raises Unavailable when the loop has ended.
        """
        while len(self._inbox) >= _MAX_WAITING and not self.problem:
            self._room.clear()
            await self._room.wait()
        self._put(_Entry(make))

    async def detach(self, session: Session) -> None:
        """A worker's stream has ended. Does nothing if a newer one has taken its place."""

        def make(state: ControllerState) -> events.Event | None:
            if not self._sessions.remove(session):
                return None
            return events.WorkerDetached(self.now(), session.worker_id, session.incarnation_id)

        if not self.problem:
            await self.tell(make)

    def end_counts(self, end: HeldEnd) -> None:
        """An end that waited for its log lines waits no more. Raises Unavailable as `tell` does."""
        self._put(_Entry(lambda _: self._event_of(end)))

    def hold(self, end: HeldEnd) -> None:
        """An end waits for its log lines, up to its deadline."""
        self.held.hold(end)
        self._wake.set()

    def scaling_changed(self, report: ScalingReport) -> None:
        """The autoscaler has something new to say."""
        self._report = report
        self._wake.set()

    def show_fleet(self) -> None:
        """The autoscaler gets a view of the fleet soon, though nothing has changed."""
        self._view_wanted = True
        self._wake.set()

    async def settled(self) -> None:
        """Waits until no turn is half done: what the state says then is committed.

        Raises Unavailable when the loop has failed: its last turn may never have been.
        """
        while not self._settled.is_set():
            await self._settled.wait()
        if self._failure.done():
            raise Unavailable(self.problem)

    # --- turning -----------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._stopping or self._inbox:
                await self._turn()
                # Who waited for the turn to settle looks at the state before it changes again.
                await asyncio.sleep(0)
                await self._wait()
            self._refuse(Unavailable("The controller is stopping."))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process has to know
            _log.critical("the controller's loop has ended", exc_info=error)
            self._failure.set_result(error)
            self._settled.set()
            self._refuse(Unavailable("The controller has failed.", hint="Its log says why."))
            self._hub.close()

    def _put(self, entry: _Entry) -> None:
        if self.problem:
            raise Unavailable(self.problem)
        self._inbox.append(entry)
        self._wake.set()

    def _refuse(self, error: IrisError) -> None:
        waiting = [entry.done for entry in self._inbox] + [done for done, _ in self._answers]
        for done in waiting:
            if done is not None and not done.done():
                done.set_exception(error)
        self._inbox.clear()
        self._room.set()
        self._sessions.close(error)

    async def _wait(self) -> None:
        """Until something has arrived or is due."""
        seconds = self._seconds_until_due()
        due = self._stopping or self._look_again or (seconds is not None and seconds <= 0)
        if due or self._wake.is_set():
            return
        waiting: set[asyncio.Future[object]] = {asyncio.ensure_future(self._wake.wait())}
        if seconds is not None:
            waiting.add(asyncio.ensure_future(self._sleep_until_due()))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waiting:
                future.cancel()

    async def _sleep_until_due(self) -> None:
        # Asked again, because time has passed since this was made a task.
        await self._clock.sleep(self._seconds_until_due() or 0)

    def _seconds_until_due(self) -> float | None:
        now = self._clock.monotonic()
        moments = (self.silence.next_look(), self.held.next_deadline())
        seconds = [moment - now for moment in moments if moment is not None]
        retry = self.state.next_due()
        if retry is not None:
            seconds.append((retry - self.now()).total_seconds())
        return min(seconds, default=None)

    async def _turn(self) -> None:
        self._wake.clear()
        self._settled.clear()
        turn = _Turn()
        for _ in range(min(len(self._inbox), _MAX_PER_TURN)):
            self._take(self._inbox.popleft(), turn)
        if self._inbox:
            self._wake.set()
        self._room.set()
        for event in self._due_events():
            self._apply(event, turn)
        placed = self._place(turn)
        if turn.applied:
            await self._store.commit(turn.applied, changes_of(self.state, turn.effects))
        self._answer()
        self._sessions.tell(turn.effects)
        self._settled.set()
        self._hub.jobs_changed({*turn.effects.jobs, *turn.reasons_changed})
        self._view_wanted = self._view_wanted or placed
        if self._view_wanted and not self._look_again:
            self._view_wanted = False
            self._planner.observe(self._placement.fleet_view())

    def _take(self, entry: _Entry, turn: _Turn) -> None:
        if entry.done is not None and entry.done.cancelled():
            return  # its caller has left before anything was done
        answer: Effects | IrisError | None = None
        try:
            event = entry.make(self.state)
            answer = self._apply(event, turn) if event is not None else Effects()
            if entry.session is not None:
                self._sessions.replace(entry.session)
        except Internal:
            raise
        except IrisError as error:
            if entry.done is None:
                raise
            answer = error
        finally:
            if entry.done is not None:
                self._answers.append((entry.done, answer))

    def _answer(self) -> None:
        """Gives callers their answers. Also a refusal may rest on what was only just committed."""
        for done, answer in self._answers:
            if done.done():
                continue
            if isinstance(answer, IrisError):
                done.set_exception(answer)
            elif answer is not None:
                done.set_result(answer)
        self._answers.clear()

    def _apply(self, event: events.Event, turn: _Turn) -> Effects:
        for told in self._ends_cut_short_by(event):
            self._apply(told, turn)
        effects = self.state.apply(event)
        turn.applied.append(event)
        turn.effects.add(effects)
        for worker_id in effects.workers:
            if self.state.fleet.get(worker_id) is None:
                self._sessions.end(worker_id)
                self.silence.forget(worker_id)
        return effects

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
        return [self._event_of(end) for worker_id in gone for end in self.held.of_worker(worker_id)]

    def _event_of(self, end: HeldEnd) -> events.AttemptObserved:
        return events.AttemptObserved(
            self.now(), end.worker_id, end.incarnation_id, end.observation, self.jitter()
        )

    def _due_events(self) -> Iterable[events.Event]:
        """What time alone brings about."""
        monotonic, now = self._clock.monotonic(), self.now()
        for end in self.held.overdue(monotonic):
            yield self._event_of(end)
        for worker_id in self.silence.silent(monotonic):
            worker = self.state.fleet.get(worker_id)
            if worker is not None:
                reason = f"worker {worker_id} was silent for {self._lost_after:g} s"
                _log.warning("%s", reason)
                incarnation = worker.record.incarnation_id
                yield events.WorkerLost(now, worker_id, incarnation, reason, self.jitter())
        retry = self.state.next_due()
        if retry is not None and retry <= now:
            yield events.RetryDue(now)

    def _place(self, turn: _Turn) -> bool:
        """Has the scheduler look at the state if anything changed that may matter to it."""
        if self._report is not None:
            turn.reasons_changed |= self._placement.reasons.planned(self._report.outlook)
            self._report = None
        look = turn.effects.reschedule or self._look_again
        if look:
            placed = self._placement.place()
            self._look_again = placed.again
            turn.reasons_changed |= placed.reasons_changed
            if placed.event is not None:
                self._apply(placed.event, turn)
        for job_id in turn.reasons_changed:
            self.state.note_reason_changed(job_id)
        return look
