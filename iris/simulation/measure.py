"""What a run was like for its users and its owner: waits, utilisation, what was bought."""

from collections import Counter
from dataclasses import dataclass, field

from iris.controller.brain import Turn
from iris.controller.state.events import TasksAssigned, TasksPreempted
from iris.model.ids import JobId, TaskId, job_of
from iris.model.priority import PriorityBand
from iris.simulation.facts import Process, Run
from iris.simulation.scenario import Scenario


@dataclass(slots=True)
class Measures:
    """Times are virtual seconds.

    Attributes:
        waits: From its job's submission until a task was first placed, by band.
        busy_cores: Core-seconds that attempts held.
        offered_cores: Core-seconds that workers had.
        preemptions: Attempts that had to make room for an earlier band.
    """

    scenario: Scenario
    waits: dict[PriorityBand, list[float]] = field(
        default_factory=lambda: {band: [] for band in PriorityBand}
    )
    first_at: float | None = None
    last_end: float = 0.0
    busy_cores: float = 0.0
    offered_cores: float = 0.0
    preemptions: int = 0
    gangs_placed: int = 0
    placements: int = 0
    retries: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    _placed: set[TaskId] = field(default_factory=set)
    _plans: dict[JobId, tuple[float, PriorityBand, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for plan in self.scenario.jobs:
            gang = plan.spec.gang is not None
            self._plans.setdefault(plan.job_id, (plan.submit_at, plan.spec.priority, gang))

    def committed(self, turn: Turn, at: float) -> None:
        """A turn is stored."""
        for event in turn.events:
            if isinstance(event, TasksAssigned):
                self._assigned(event, at)
            elif isinstance(event, TasksPreempted):
                self.preemptions += len(event.preempted)

    def run_started(self, run: Run) -> None:
        """An attempt begins."""
        if self.first_at is None:
            self.first_at = run.started_at
        self.retries += run.spec.number > 0

    def run_ended(self, run: Run) -> None:
        """An attempt is over."""
        assert run.ended_at is not None and run.end is not None
        self.last_end = run.ended_at
        self.ends[run.end.value] += 1
        self.busy_cores += (run.ended_at - run.started_at) * run.spec.resources.cpu_millis / 1000

    def process_ended(self, process: Process) -> None:
        """A worker is gone."""
        assert process.died_at is not None
        seconds = process.died_at - process.born_at
        self.offered_cores += seconds * process.total.cpu_millis / 1000

    def _assigned(self, event: TasksAssigned, at: float) -> None:
        gangs = set()
        for one in event.assignments:
            self.placements += 1
            job_id = job_of(one.task_id)
            submitted, band, gang = self._plans[job_id]
            if gang:
                gangs.add(job_id)
            if one.task_id not in self._placed:
                self._placed.add(one.task_id)
                self.waits[band].append(max(0.0, at - submitted))
        self.gangs_placed += len(gangs)
