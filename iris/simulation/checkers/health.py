"""Workers that are not well, or drained, rest."""

from iris.controller.brain import Turn
from iris.controller.state import events
from iris.model.ids import WorkerId
from iris.simulation.checkers.checker import Checker, Evidence


class TheIllRest(Checker):
    """A worker that has said that it is not well, or that a user has drained, is given nothing until
    it says that it is, or is let work. (That it is given work then is for NobodyWaitsBesideRoom to
    see.)
    """

    invariant = "workers that are not well get no work"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._ill: set[WorkerId] = set()
        self._drained: set[WorkerId] = set()

    def committed(self, turn: Turn) -> None:
        """See Checker."""
        for event in turn.events:
            match event:
                case events.WorkerAttached() | events.WorkerHealthChanged():
                    self._note(event)
                case events.WorkerDrainChanged():
                    self._note_drain(event)
                case events.TasksAssigned():
                    for one in event.assignments:
                        if one.worker_id in self._ill or one.worker_id in self._drained:
                            raise self.broken(f"{one.task_id} was placed on {one.worker_id}")
                case events.WorkerLost() | events.SliceGone():
                    self._forget()

    def _note_drain(self, event: events.WorkerDrainChanged) -> None:
        known = self.evidence.ledger.workers.get(event.worker_id)
        if event.drain and known is not None:
            self._drained.add(event.worker_id)
        else:
            self._drained.discard(event.worker_id)

    def _forget(self) -> None:
        """What a worker was, it is no more once it is given up; it may come back in the same turn."""
        known = self.evidence.ledger.workers
        for worker_id in list(self._drained):
            if worker_id not in known or not known[worker_id].drained:
                self._drained.discard(worker_id)

    def _note(self, event: events.WorkerAttached | events.WorkerHealthChanged) -> None:
        worker_id = event.worker_id
        if isinstance(event, events.WorkerHealthChanged):
            known = self.evidence.ledger.workers.get(worker_id)
            if known is None or known.incarnation_id != event.incarnation_id:
                return  # of an earlier process
        if event.problems:
            self._ill.add(worker_id)
        else:
            self._ill.discard(worker_id)
