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
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from iris.autoscaler.demand import CapacityPlanner, ScalingReport
from iris.controller.brain import Brain
from iris.controller.held_ends import HeldEnd
from iris.controller.housekeeping import Housekeeping
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


class ControlLoop:
    """Lets a Brain decide, and carries out what it decided. For one event loop; whoever starts it
    awaits `stop`.
    """

    def __init__(
        self,
        brain: Brain,
        store: Store,
        planner: CapacityPlanner,
        hub: WatchHub,
        housekeeping: Housekeeping,
        *,
        clock: Clock,
    ) -> None:
        self.state = brain.state
        self.held = brain.held
        self.silence: SilenceWatch = brain.silence
        self._brain = brain
        self._store = store
        self._planner = planner
        self._hub = hub
        self._housekeeping = housekeeping
        self._clock = clock
        self._sessions = Sessions(brain.state)
        self._inbox: deque[_Entry] = deque()
        self._room = asyncio.Event()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._report: ScalingReport | None = None
        # Of the turn that is under way; None for an entry that ended the loop.
        self._answers: list[tuple[asyncio.Future[Effects], Effects | IrisError | None]] = []
        self._view_wanted = False
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    # --- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to turn."""
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
        return self._brain.now()

    def jitter(self) -> float:
        """A random number, for events."""
        return self._brain.jitter()

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
        self._put(_Entry(lambda _: self._brain.event_of(end)))

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
        seconds = self._brain.seconds_until_due()
        due = self._stopping or (seconds is not None and seconds <= 0)
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
        await self._clock.sleep(self._brain.seconds_until_due() or 0)

    async def _turn(self) -> None:
        self._wake.clear()
        self._settled.clear()
        for _ in range(min(len(self._inbox), _MAX_PER_TURN)):
            self._take(self._inbox.popleft())
        if self._inbox:
            self._wake.set()
        self._room.set()
        if self._report is not None:
            self._brain.planned(self._report)
            self._report = None
        turn = self._brain.finish(self._hub.watched())
        for worker_id in turn.effects.workers:
            if self.state.fleet.get(worker_id) is None:
                self._sessions.end(worker_id)
        if turn.events:
            soon = not self._answers and all(map(_is_progress, turn.events))
            await self._store.commit(turn.events, turn.changes, soon=soon)
        self._answer()
        self._sessions.tell(turn.effects)
        self._housekeeping.forget(turn.effects.pruned_attempts)
        self._settled.set()
        self._hub.jobs_changed({*turn.effects.jobs, *turn.reasons_changed})
        self._view_wanted = self._view_wanted or turn.looked
        if self._view_wanted and not self._brain.wants_turn:
            self._view_wanted = False
            self._planner.observe(self._brain.fleet_view())

    def _take(self, entry: _Entry) -> None:
        if entry.done is not None and entry.done.cancelled():
            return  # its caller has left before anything was done
        answer: Effects | IrisError | None = None
        try:
            event = entry.make(self.state)
            answer = self._brain.apply(event) if event is not None else Effects()
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


def _is_progress(event: events.Event) -> bool:
    """Whether nobody acts on it, and its worker says it again after whatever happens."""
    return isinstance(event, events.AttemptObserved) and not event.observation.state.is_terminal
