"""Why a task waits is really so."""

from iris.controller.brain import Turn
from iris.model.pending import PendingCode
from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.checkers.holdings import Holder, Holdings
from iris.simulation.checkers.waiting import Alike, Waiting
from iris.simulation.controller import ControllerProcess

# Looking at every reason after every turn would cost more than it finds.
_EVERY = 8


class ReasonsAreTrue(Checker):
    """A task is said to lack a resource only if it asks for it, and a worker that it could run on
    has too little of it; to lack an attribute only if no worker has what it asks for.
    """

    invariant = "reasons are true"

    def __init__(self, evidence: Evidence, holdings: Holdings, waiting: Waiting) -> None:
        super().__init__(evidence)
        self._holdings = holdings
        self._waiting = waiting
        self._turns = 0

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """See Checker."""
        self._turns += turn.looked
        if not turn.looked or self._turns % _EVERY or process.brain.wants_turn:
            return
        workers = list(self._holdings.workers.values())
        for alike in self._waiting.alike():
            self._check(process, alike, workers)

    def _check(self, process: ControllerProcess, alike: Alike, workers: list[Holder]) -> None:
        job = process.state.jobs.get(next(iter(alike.tasks))[0])
        assert job is not None
        reason = process.brain.reasons.of(job)
        if reason is None:
            raise self.broken(f"{alike.name} waits and nobody says why")
        gang = alike.spec.gang
        could = [
            one
            for one in workers
            if alike.may_run_on(one) and (gang is None or gang.group_by in one.attributes)
        ]
        if reason.code is PendingCode.INSUFFICIENT_RESOURCE:
            needed = dict(alike.need.amounts()).get(reason.subject, 0)
            if not could or not needed:
                raise self.broken(
                    f"{alike.name} is said to lack {reason.subject}, of which it needs {needed}; "
                    f"{len(could)} workers satisfy its constraints: {reason.summary()}"
                )
        if reason.code in (PendingCode.CONSTRAINT_UNMET, PendingCode.TAINT_NOT_TOLERATED) and could:
            raise self.broken(
                f"{alike.name} could run on {could[0].record.worker_id}: {reason.summary()}"
            )
