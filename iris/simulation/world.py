"""One run of a scenario: puts the parts together, lets time pass until all is over, and has
everything checked meanwhile.
"""

import logging
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from iris.autoscaler.demand import FleetView, ScalingDecision
from iris.controller.brain import Turn
from iris.controller.state import events
from iris.controller.state.machine import ControllerState
from iris.host.ids import IdSource
from iris.model.errors import IrisError
from iris.model.ids import JobId, WorkerId
from iris.model.states import TaskState
from iris.simulation.checkers.checker import Broken, Checker, Evidence
from iris.simulation.checkers.everything import all_checkers
from iris.simulation.clients import Accepted, Clients
from iris.simulation.clock import Agenda, Chances, VirtualClock
from iris.simulation.cloud import Cloud
from iris.simulation.controller import ControllerProcess, Disk
from iris.simulation.facts import Facts, Process, Run
from iris.simulation.faults import Striker
from iris.simulation.history import History
from iris.simulation.ledger import Ledger
from iris.simulation.measure import Measures
from iris.simulation.network import Network, Stream
from iris.simulation.scenario import Behaviour, CrashPoint, JobPlan, Scenario, at_rest
from iris.simulation.weather import Weather
from iris.simulation.workers import Surroundings

# Often enough to end soon after all is over, seldom enough to cost nothing.
_LOOK_SECONDS = 5.0
# A user who gets no answer asks again.
_PATIENCE = 10.0

MakeCheckers = Callable[[Evidence], list[Checker]]


class _CountedIds:
    """`<prefix>-1`, `<prefix>-2`, ...: never the same twice, whichever process asks."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def fresh(self, prefix: str) -> str:
        """See iris.host.ids.IdSource."""
        self._counts[prefix] += 1
        return f"{prefix}-{self._counts[prefix]}"


@dataclass(slots=True)
class Result:
    """What a run was like.

    Attributes:
        broken: What did not hold; None when all did.
        over_at: Virtual seconds until all was over.
    """

    scenario: Scenario
    measures: Measures
    history: str
    over_at: float
    broken: Broken | None = None
    counts: Counter[str] = field(default_factory=Counter)


class World:
    """Everything there is in one run. `run` is called once."""

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        *,
        checkers: MakeCheckers = all_checkers,
        with_history: bool = False,
    ) -> None:
        self.scenario = scenario
        self.clock = VirtualClock()
        self.agenda = Agenda(self.clock)
        chances = Chances(scenario.seed)
        weather = Weather(self.agenda, chances, scenario.faults)
        self.network = Network(self.agenda, chances, weather)
        self.facts = Facts()
        self._plans = {plan.spec.entrypoint.argv[0]: plan for plan in scenario.jobs}
        around = Surroundings(
            self.agenda,
            self.clock,
            chances,
            self.network,
            self.facts,
            scenario.timing,
            self._behaviour,
            self,
        )
        call_timeout = scenario.autoscaling.call_timeout.total_seconds()
        self.cloud = Cloud(scenario.groups, around, weather, call_timeout)
        self.striker = Striker(
            scenario.faults,
            self.cloud,
            agenda=self.agenda,
            clock=self.clock,
            chances=chances,
            restart=self._crash,
            drain=self._drain_for,
        )
        self.ledger = Ledger()
        self.counts: Counter[str] = Counter()
        self.history = History(enabled=with_history)
        self.measures = Measures(scenario)
        self._evidence = Evidence(
            scenario, self.clock, self.facts, self.ledger, self.cloud, self._plans
        )
        self._checkers = checkers(self._evidence)
        self.facts.witnesses += [self, *self._checkers]
        self._chances = chances
        self._disk = Disk(folder / "controller.db")
        self._ids: IdSource = _CountedIds()
        self.controller: ControllerProcess | None = None
        self._over = False
        self.clients = Clients(
            scenario,
            self.network,
            lambda: self.controller,
            agenda=self.agenda,
            clock=self.clock,
            witness=self,
        )

    def run(self) -> Result:
        """Lets it happen. What a checker finds, or the code under test raises, ends the run and is
        in the result.
        """
        broken: Broken | None = None
        try:
            self._start_controller()
            self.agenda.at(self.scenario.calm_at, self._calm_down)
            self.agenda.after(_LOOK_SECONDS, self._look)
            while not self._over and self.agenda.step():
                pass
            assert self.controller is not None
            for checker in self._checkers:
                checker.finished(self.controller)
        except Broken as error:
            broken = error
        except (IrisError, AssertionError, ArithmeticError, LookupError, TypeError) as error:
            # Whatever the code under test raises is a finding; its place is in the traceback.
            broken = Broken("no exception", _describe(error), self.agenda.now)
        finally:
            if self.controller is not None:
                self.controller.die()
        self._count_the_rest()
        return Result(
            self.scenario,
            self.measures,
            self.history.digest(),
            self.agenda.now,
            broken,
            self.counts,
        )

    def _count_the_rest(self) -> None:
        traffic, cloud = self.network.traffic, self.cloud.counts
        self.counts["messages"] = traffic.sent
        self.counts["messages lost"] = traffic.lost
        self.counts["messages doubled"] = traffic.doubled
        self.counts["messages overtaken"] = traffic.overtaken
        self.counts["streams broken"] = traffic.broken
        self.counts["slices bought"] = cloud.bought
        self.counts["slices refused"] = cloud.refused
        self.counts["boots failed"] = cloud.failed_boots
        self.counts["slices preempted"] = cloud.preempted
        self.counts["slices short-lived"] = cloud.short_lived
        self.counts["calls timed out"] = cloud.timed_out
        self.counts["preempted by us"] = self.measures.preemptions
        self.counts["gangs placed"] = self.measures.gangs_placed

    # --- the controller's life ------------------------------------------------------------------

    def accept(self, stream: Stream) -> bool:
        """See Dialled."""
        if self.controller is None:
            return False
        self.controller.streams.accept(stream)
        return True

    def _start_controller(self) -> None:
        number = self.counts["controller starts"]
        self.counts["controller starts"] += 1
        self.controller = ControllerProcess(
            self.scenario,
            self._disk,
            self.cloud,
            agenda=self.agenda,
            clock=self.clock,
            ids=self._ids,
            chance=self._chances.of("brain", number),
            witness=self,
        )

    def _crash(self, down_for: float) -> None:
        assert self.controller is not None
        controller, self.controller = self.controller, None
        controller.die()
        self.cloud.caller_died()
        self.counts["controller crashes"] += 1
        for checker in self._checkers:
            checker.crashed()
        self.agenda.after(down_for, self._start_controller)

    def _drain_for(self, worker_id: WorkerId, seconds: float) -> None:
        self._drain(worker_id, drain=True)
        self.agenda.after(seconds, lambda: self._drain(worker_id, drain=False))

    def _drain(self, worker_id: WorkerId, *, drain: bool) -> None:
        """As iris.controller.service does; whoever asks has patience."""
        again = self.agenda.after(_PATIENCE, lambda: self._drain(worker_id, drain=drain))

        def make(state: ControllerState) -> events.Event | None:
            if state.fleet.get(worker_id) is None:
                return None
            return events.WorkerDrainChanged(self.clock.now(), worker_id, drain)

        if self.controller is not None:
            self.controller.request(make, lambda _: again.cancel())

    # --- the end --------------------------------------------------------------------------------

    def _calm_down(self) -> None:
        self._evidence.calm = True

    def _look(self) -> None:
        """Is all over? It has to be, in time."""
        if self._evidence.calm and self._is_over():
            self._over = True
            return
        if self.controller is not None:
            for checker in self._checkers:
                checker.ticked()
        late = self.agenda.now - self.scenario.calm_at
        if late > self.scenario.timing.calm_bound:
            raise Broken("all is over in time", self._what_is_left(), self.agenda.now)
        self.agenda.after(_LOOK_SECONDS, self._look)

    def _is_over(self) -> bool:
        controller = self.controller
        if controller is None or self.clients.unanswered or controller.state.jobs.active:
            return False
        if any(self.facts.running.values()) or self.cloud.workers_with_attempts():
            return False
        if any(not worker.connected for worker in controller.state.fleet):
            return False  # they come back, or are given up
        # Slices that nobody needs go back; those that should always be there are there.
        return all(
            len(list(self.cloud.of_group(group.name))) == at_rest(group)
            for group in self.scenario.groups
        )

    def _what_is_left(self) -> str:
        controller = self.controller
        if controller is None:
            return "the controller is down"
        waiting = [
            f"{job.job_id} ({job.record.state.value})"
            for job in controller.state.jobs.newest_first()
            if not job.record.state.is_terminal
        ]
        slices = {
            group.name: len(list(self.cloud.of_group(group.name))) for group in self.scenario.groups
        }
        running = sum(map(len, self.facts.running.values()))
        holding = self.cloud.workers_with_attempts()
        return (
            f"{self.clients.unanswered} calls of users, {len(waiting)} jobs {waiting[:5]}, "
            f"{running} running attempts, attempts on the workers {holding[:5]} and the slices "
            f"{slices} are left"
        )

    def _behaviour(self, program: str) -> Behaviour:
        return self._plans[program].behaviour

    # --- what others tell, passed on ------------------------------------------------------------

    def run_started(self, run: Run) -> None:
        """See Witness."""
        self.counts["attempts started"] += 1
        self.counts["retries"] += run.spec.number > 0
        self.measures.run_started(run)

    def run_ended(self, run: Run) -> None:
        """See Witness."""
        self.counts["attempts failed"] += run.end is TaskState.FAILED
        self.counts["attempts lost"] += run.end is TaskState.WORKER_FAILED
        self.measures.run_ended(run)

    def process_ended(self, process: Process) -> None:
        """See Witness."""
        self.counts["workers lost"] += 1
        self.measures.process_ended(process)

    def committed(self, turn: Turn) -> None:
        """See TurnWitness."""
        self.counts["turns"] += 1
        self.ledger.commit(turn.changes)
        self.history.add(self.agenda.now, turn.events)
        self.measures.committed(turn, self.agenda.now)
        self._count(turn)
        for checker in self._checkers:
            checker.committed(turn)

    def turned(self, process: ControllerProcess, turn: Turn) -> None:
        """See TurnWitness."""
        self.clients.turned(process)
        for checker in self._checkers:
            checker.turned(process, turn)

    def recovered(self, process: ControllerProcess) -> None:
        """See TurnWitness."""
        for checker in self._checkers:
            checker.recovered(process)

    def should_crash(self, point: CrashPoint) -> bool:
        """See TurnWitness."""
        return self.striker.crash_due(point)

    def observed(self, view: FleetView) -> None:
        """See PlanWitness."""
        for checker in self._checkers:
            checker.observed(view)

    def planned(self, view: FleetView, decisions: tuple[ScalingDecision, ...]) -> None:
        """See PlanWitness."""
        self.counts["plans"] += 1
        for checker in self._checkers:
            checker.planned(view, decisions)

    def accepted(self, accepted: Accepted) -> None:
        """See ClientWitness."""
        self.counts["jobs accepted"] += 1
        for checker in self._checkers:
            checker.accepted(accepted)

    def refused(self, plan: JobPlan, error: IrisError) -> None:
        """See ClientWitness."""
        self.counts["jobs refused"] += 1
        for checker in self._checkers:
            checker.refused(plan, error)

    def terminating(self, job_id: JobId) -> None:
        """See ClientWitness."""
        for checker in self._checkers:
            checker.terminating(job_id)

    def _count(self, turn: Turn) -> None:
        for event in turn.events:
            self.counts[type(event).__name__] += 1


def _describe(error: BaseException) -> str:
    trace = error.__traceback__
    place = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{Path(code.co_filename).name}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}: {error}"


def simulate(
    scenario: Scenario, *, checkers: MakeCheckers = all_checkers, with_history: bool = False
) -> Result:
    """One run, with a state folder of its own that is removed at the end."""
    logging.getLogger("iris").setLevel(logging.CRITICAL)  # workers are lost by the hundred
    with tempfile.TemporaryDirectory(prefix="iris-simulation-") as folder:
        return World(scenario, Path(folder), checkers=checkers, with_history=with_history).run()
