"""What really happens in the simulated world: which process runs which attempt, and how it ended.

Written by the simulated workers, never by the controller: the checkers compare the two.
"""

from dataclasses import dataclass
from typing import Protocol

from iris.model.ids import AttemptUid, SliceId, WorkerId
from iris.model.resources import Resources
from iris.model.states import TaskState
from iris.simulation.messages import RunSpec


@dataclass(slots=True, eq=False)
class Process:
    """One process of a worker, from its start to its end.

    Attributes:
        number: Counts all processes of the world.
        died_at: Virtual seconds; None while it lives.
        serving: The controller has taken it in, and it has heard from it what it should have, and
            its stream stands since; from `serving_since` on.
    """

    number: int
    worker_id: WorkerId
    incarnation_id: str
    slice_id: SliceId
    total: Resources
    attributes: dict[str, str]
    born_at: float
    died_at: float | None = None
    serving: bool = False
    serving_since: float = 0.0


@dataclass(slots=True, eq=False)
class Run:
    """One run of an attempt in a process.

    Attributes:
        stopping_at: When it was told to stop, if it was.
        ended_at: When its program was gone.
        end: SUCCEEDED, FAILED or KILLED; WORKER_FAILED if its process died under it.
        refused: It failed before its program ran.
    """

    uid: AttemptUid
    spec: RunSpec
    process: Process
    started_at: float
    stopping_at: float | None = None
    ended_at: float | None = None
    end: TaskState | None = None


class Witness(Protocol):
    """Who wants to know at once."""

    def run_started(self, run: Run) -> None:
        """A process has begun to run an attempt."""

    def run_ended(self, run: Run) -> None:
        """Its program is gone."""

    def process_ended(self, process: Process) -> None:
        """A worker's process has died; its runs have ended before."""


class Facts:
    """All of it.

    Attributes:
        runs: Of each attempt; more than one would be a bug.
        running: What every process runs now.
        dead: Incarnations that are no more.
    """

    def __init__(self) -> None:
        self.runs: dict[AttemptUid, list[Run]] = {}
        self.running: dict[Process, dict[AttemptUid, Run]] = {}
        self.dead: set[str] = set()
        self.witnesses: list[Witness] = []
        self._processes = 0

    def born(
        self,
        worker_id: WorkerId,
        incarnation_id: str,
        slice_id: SliceId,
        total: Resources,
        attributes: dict[str, str],
        at: float,
    ) -> Process:
        """A worker's process starts."""
        self._processes += 1
        process = Process(
            self._processes, worker_id, incarnation_id, slice_id, total, attributes, at
        )
        self.running[process] = {}
        return process

    def started(self, uid: AttemptUid, spec: RunSpec, process: Process, at: float) -> Run:
        """A process begins to run an attempt."""
        run = Run(uid, spec, process, at)
        self.runs.setdefault(uid, []).append(run)
        self.running[process][uid] = run
        for witness in self.witnesses:
            witness.run_started(run)
        return run

    def ended(self, run: Run, end: TaskState, at: float) -> None:
        """A run's program is gone."""
        run.end, run.ended_at = end, at
        del self.running[run.process][run.uid]
        for witness in self.witnesses:
            witness.run_ended(run)

    def died(self, process: Process, at: float) -> None:
        """A process is gone, and all that it ran."""
        for run in tuple(self.running[process].values()):
            self.ended(run, TaskState.WORKER_FAILED, at)
        process.died_at, process.serving = at, False
        self.dead.add(process.incarnation_id)
        del self.running[process]
        for witness in self.witnesses:
            witness.process_ended(process)
