"""For tests: a state that is checked after everything that happens to it, and what is true of its
workers beside it.
"""

from iris.controller.state import events, invariants
from iris.controller.state.effects import Effects
from iris.controller.state.job import Job
from iris.controller.state.kept_records_fixture import KeptRecords
from iris.controller.state.machine import ControllerState
from iris.controller.state.retry import RetryPolicy
from iris.controller.state.scenario import WORKER_TOTAL, Scenario
from iris.model.ids import AttemptUid, WorkerId
from iris.model.resources import Resources
from iris.model.states import TaskState

RETRY = RetryPolicy(job_minimum=5, job_factor=2)
_NOTHING = Resources()


class CheckedWorld:
    """A state, what its workers truly have, and what a store has after each turn.

    Attributes:
        connected: The workers that have a stream.
        has: What each worker's process has, and what of it has ended but is not acknowledged.
        needs: What each attempt asks for.
        terminal: How tasks (by their job's number and their index) ended.
        ended: How attempts ended.
        happened: How often there was each kind of event.
    """

    def __init__(self) -> None:
        self.world = Scenario(RETRY)
        self.kept = KeptRecords()
        self.connected: set[str] = set()
        self.has: dict[str, dict[AttemptUid, TaskState]] = {}
        self.needs: dict[AttemptUid, Resources] = {}
        self.terminal: dict[tuple[int, int], TaskState] = {}
        self.ended: dict[AttemptUid, TaskState] = {}
        self.happened: dict[str, int] = {}
        self._turn = Effects()

    @property
    def state(self) -> ControllerState:
        """The state of now."""
        return self.world.state

    def apply(self, event: events.Event) -> Effects:
        """Applies an event and looks at what it touched."""
        before = self.state.fleet.views(), self.state.jobs.waiting.classes()
        effects = self.world.apply(event)
        if before != (self.state.fleet.views(), self.state.jobs.waiting.classes()):
            assert effects.reschedule, f"the scheduler is not told of {event}"
        invariants.check_touched(self.state, effects)
        self._turn.add(effects)
        kind = type(event).__name__
        self.happened[kind] = self.happened.get(kind, 0) + 1
        return effects

    def end_turn(self) -> None:
        """What has happened since the last one is written."""
        self.kept.write(self.state, self._turn)
        self._turn = Effects()
        self.kept.check(self.state)

    def restart(self) -> None:
        """The controller goes on from what is written. No worker has dialled in yet."""
        self.end_turn()
        self.world = self.kept.restored(RETRY, self.world.now)
        self.connected.clear()

    def check(self) -> None:
        """Everything that holds in such a world."""
        invariants.check(self.state)
        for name in self.connected:
            worker = self.state.fleet.get(WorkerId(name))
            assert worker is not None, name
            for uid in worker.attempts:
                attempt = self.state.jobs.attempt(uid)
                active = attempt is not None and attempt.state.is_active
                assert active or uid in self.has[name], (
                    f"{uid} has ended and {name} does not have it"
                )
        for name, has in self.has.items():
            runs = (self.needs[uid] for uid, state in has.items() if not state.is_terminal)
            used = sum(runs, _NOTHING)
            assert used.fits_in(WORKER_TOTAL), f"{name} truly runs {used}"
        for job in self.state.jobs.newest_first():
            for task in job.tasks:
                self._check_ends(job, task.index)

    def _check_ends(self, job: Job, index: int) -> None:
        """What has ended stays as it is."""
        task, key = job.tasks[index], (job.record.number, index)
        if task.state.is_terminal:
            assert self.terminal.setdefault(key, task.state) is task.state, (job.job_id, key)
        else:
            assert key not in self.terminal, (job.job_id, key)
        for attempt in self.state.jobs.attempts_of(job, index):
            if attempt.state.is_terminal:
                kept = self.ended.setdefault(attempt.uid, attempt.state)
                assert kept is attempt.state, attempt.uid
