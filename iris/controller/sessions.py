"""The streams to workers that are open now: at most one for each worker."""

from iris.controller.session import Session
from iris.controller.state.effects import Effects
from iris.controller.state.machine import ControllerState
from iris.model.errors import IrisError, Unavailable
from iris.model.ids import AttemptUid, WorkerId


class Sessions:
    """Passes a turn's orders on once they are committed. Nothing here blocks."""

    def __init__(self, state: ControllerState) -> None:
        self._state = state
        self._open: dict[WorkerId, Session] = {}
        self._new: list[Session] = []

    def replace(self, session: Session) -> None:
        """A worker's stream takes the place of an older one, which ends."""
        older = self._open.get(session.worker_id)
        if older is not None:
            older.close(Unavailable(f"A newer stream of {session.worker_id} has taken over."))
        self._open[session.worker_id] = session
        self._new.append(session)

    def remove(self, session: Session) -> bool:
        """A stream has ended; False if a newer one has taken its place before."""
        if self._open.get(session.worker_id) is not session:
            return False
        del self._open[session.worker_id]
        return True

    def end(self, worker_id: WorkerId) -> None:
        """A worker was given up: if it still has a stream, it is to begin anew."""
        session = self._open.pop(worker_id, None)
        if session is not None:
            session.close(Unavailable(f"{worker_id} was given up; it may register again."))

    def close(self, error: IrisError) -> None:
        """All end."""
        for session in self._open.values():
            session.close(error)

    def tell(self, effects: Effects) -> None:
        """What a committed turn means for the workers."""
        begun = set()
        for session in self._new:
            if self._open.get(session.worker_id) is session:
                self._begin(session)
                begun.add(session.worker_id)
        self._new.clear()
        # The complete set of a stream that begins has these already.
        for worker_id, uid in effects.run:
            if worker_id not in begun and worker_id in self._open:
                self._open[worker_id].run(uid)
        for worker_id, uid in effects.stop:
            if worker_id not in begun and worker_id in self._open:
                self._open[worker_id].stop(uid)
        for worker_id, uid in effects.acknowledge:
            if worker_id in self._open:
                self._open[worker_id].acknowledge(uid)

    def _begin(self, session: Session) -> None:
        worker = self._state.fleet.get(session.worker_id)
        wanted: list[AttemptUid] = []
        stopping: list[AttemptUid] = []
        for uid in worker.attempts if worker is not None else ():
            attempt = self._state.jobs.attempt(uid)
            if attempt is not None and attempt.state.is_active:
                (stopping if attempt.stop else wanted).append(uid)
        session.begin(wanted, stopping)
