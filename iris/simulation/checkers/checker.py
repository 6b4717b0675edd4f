"""What all checkers have in common: what they are told, what they may look at, how they complain."""

from dataclasses import dataclass, field

from iris.autoscaler.demand import FleetView, ScalingDecision
from iris.controller.brain import Turn
from iris.model.errors import IrisError
from iris.model.ids import JobId
from iris.simulation.clients import Accepted
from iris.simulation.clock import VirtualClock
from iris.simulation.cloud import Cloud
from iris.simulation.controller import ControllerProcess
from iris.simulation.facts import Facts, Process, Run
from iris.simulation.ledger import Ledger
from iris.simulation.scenario import FaultKind, JobPlan, Scenario


class Broken(Exception):
    """Something does not hold.

    Attributes:
        invariant: Which, in a few words that are the same each time.
        what: What was found.
    """

    def __init__(self, invariant: str, what: str, at: float) -> None:
        super().__init__(f"{invariant}: {what} (after {at:.3f} s)")
        self.invariant = invariant
        self.what = what
        self.at = at


@dataclass(slots=True)
class Evidence:
    """What checkers look at.

    Attributes:
        calm: Nothing is submitted and nothing goes wrong any more.
    """

    scenario: Scenario
    clock: VirtualClock
    facts: Facts
    ledger: Ledger
    cloud: Cloud
    plans: dict[str, JobPlan] = field(default_factory=dict)
    calm: bool = False

    @property
    def set_back(self) -> float:
        """By how many seconds the wall clock is set back in all: what is due by it may be so late."""
        return sum(
            max(0.0, -fault.amount)
            for fault in self.scenario.faults
            if fault.kind is FaultKind.JUMP_CLOCK
        )

    @property
    def now(self) -> float:
        """Virtual seconds since the run began."""
        return self.clock.monotonic()


class Checker:
    """Is told of everything; each kind looks at what it is for. All methods raise Broken."""

    invariant = ""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def broken(self, what: str) -> Broken:
        """The complaint."""
        return Broken(self.invariant, what, self.evidence.now)

    def run_started(self, run: Run) -> None:
        """See Witness."""

    def run_ended(self, run: Run) -> None:
        """See Witness."""

    def process_ended(self, process: Process) -> None:
        """See Witness."""

    def committed(self, turn: Turn) -> None:
        """A turn is in the ledger; nobody has been told."""

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """A turn is over, and everybody was told."""

    def recovered(self, process: ControllerProcess) -> None:
        """A process has restored what was stored."""

    def crashed(self) -> None:
        """The controller is gone."""

    def accepted(self, accepted: Accepted) -> None:
        """See ClientWitness."""

    def refused(self, plan: JobPlan, error: IrisError) -> None:
        """See ClientWitness."""

    def terminating(self, job_id: JobId) -> None:
        """See ClientWitness."""

    def observed(self, view: FleetView) -> None:
        """See PlanWitness."""

    def planned(self, view: FleetView, decisions: tuple[ScalingDecision, ...]) -> None:
        """See PlanWitness."""

    def ticked(self) -> None:
        """Some seconds have passed, whether or not anything happened."""

    def finished(self, process: ControllerProcess) -> None:
        """The run is over."""
