"""What workers really run: each attempt once, each task in one place, nobody more than fits."""

from collections.abc import Hashable

from iris.controller.brain import Turn
from iris.model.resources import Resources
from iris.simulation.checkers.checker import Checker, Evidence
from iris.simulation.controller import ControllerProcess
from iris.simulation.facts import Run


class OnePlace(Checker):
    """No task runs on two workers that the controller believes in, no attempt ever runs twice.

    A worker that is cut off may go on with what the controller has given up: that cannot be helped.
    But as soon as it has heard again what it should have, it must not.
    """

    invariant = "no attempt runs on two workers"

    def __init__(self, evidence: Evidence) -> None:
        super().__init__(evidence)
        self._running: dict[Hashable, list[Run]] = {}
        self._doubtful: set[Hashable] = set()

    def run_started(self, run: Run) -> None:
        """See Witness."""
        if len(self.evidence.facts.runs[run.uid]) > 1:
            raise self.broken(f"{run.uid} was started again, by {run.process.incarnation_id}")
        task = _task(run)
        runs = self._running.setdefault(task, [])
        runs.append(run)
        if len(runs) > 1:
            self._doubtful.add(task)
            self._check(runs)

    def run_ended(self, run: Run) -> None:
        """See Witness."""
        task = _task(run)
        self._running[task].remove(run)
        if len(self._running[task]) < 2:
            self._doubtful.discard(task)

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """What was cut off may be back."""
        for task in self._doubtful:
            self._check(self._running[task])

    def _check(self, runs: list[Run]) -> None:
        believed = [run for run in runs if self._is_believed(run)]
        if len(believed) > 1:
            where = ", ".join(f"{run.uid} on {run.process.incarnation_id}" for run in believed)
            spec = believed[0].spec
            raise self.broken(f"{spec.job_id}/{spec.index} runs as {where}")

    def _is_believed(self, run: Run) -> bool:
        process = run.process
        if not process.serving or run.stopping_at is not None:
            return False
        known = self.evidence.ledger.workers.get(process.worker_id)
        return known is not None and known.incarnation_id == process.incarnation_id


class RealCapacity(Checker):
    """No worker ever runs more than its machine has."""

    invariant = "no worker's capacity is exceeded"

    def run_started(self, run: Run) -> None:
        """See Witness."""
        process = run.process
        runs = self.evidence.facts.running[process].values()
        used = sum((one.spec.resources for one in runs), Resources())
        if not used.fits_in(process.total):
            names = sorted(one.uid for one in runs)
            raise self.broken(
                f"{process.incarnation_id} has {process.total} and runs {names}: {used}"
            )


def _task(run: Run) -> Hashable:
    return run.spec.program, run.spec.index
