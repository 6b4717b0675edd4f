"""Tasks a second through the whole state machine: submitted, placed, running, succeeded, in turns of
a Brain; alone, and with each turn committed to a store.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from iris.controller.brain import Brain, Turn
from iris.controller.state import events
from iris.controller.state.machine import ControllerState
from iris.controller.store import Database
from iris.model.ids import AttemptUid, JobId, WorkerId
from iris.model.states import JobState, TaskState
from iris.scheduler.policy import SchedulingPolicy
from tools.benchmarks.brains import new_brain
from tools.benchmarks.cluster import INCARNATION, mixed_fleet
from tools.benchmarks.timing import seconds_now
from tools.benchmarks.workload import SHAPES, Ask, habits

_TASKS_PER_JOB = 4
_JOBS_PER_TURN = 250


def measure(*, workers: int, turns: int, stored: bool, runs: int, seed: int) -> dict[str, Any]:
    """Runs so many turns' submissions to their ends; by kind of number, one number per run."""
    measured = [_run(workers, turns, stored, seed + run) for run in range(-1, runs)][1:]
    return {
        "tasks": [one.tasks / one.seconds for one in measured],
        "events": [one.events / one.seconds for one in measured],
        "rows": [one.rows / one.commit_seconds for one in measured if stored],
        "count": sum(one.tasks for one in measured),
    }


class _Run:
    """One run. Checks at the end that every task has succeeded.

    Attributes:
        rows: Events and records that were committed, in `commit_seconds`.
    """

    def __init__(self, brain: Brain, database: Database | None, random: Random) -> None:
        self.brain = brain
        self.tasks = self.events = self.rows = 0
        self.seconds = self.commit_seconds = 0.0
        self._database = database
        asks = [ask for ask in habits(random) if not ask.shape.resources.accelerators]
        self._asks = [Ask(ask.user, ask.band, SHAPES[0]) for ask in asks]
        self._jobs: list[JobId] = []

    def turn(self, arrived: Iterator[events.Event]) -> Turn:
        """One turn of the loop."""
        for event in arrived:
            self.brain.apply(event)
        turn = self.brain.finish()
        self.events += len(turn.events)
        if self._database is not None and turn.events:
            began = seconds_now()
            self._database.commit(turn.events, turn.changes)
            self.commit_seconds += seconds_now() - began
            changes = turn.changes
            self.rows += len(turn.events)
            self.rows += sum(map(len, (changes.jobs, changes.tasks, changes.attempts)))
        return turn

    def go(self, turns: int) -> None:
        """Jobs come for so many turns; then all goes on until they have ended."""
        began = seconds_now()
        running: dict[tuple[WorkerId, AttemptUid], None] = {}
        placed = self.turn(self._submissions(0)).effects.run
        for number in range(1, turns + 3):
            arrived = self._all_that_arrives(number if number < turns else 0, placed, running)
            running = placed
            placed = self.turn(arrived).effects.run
        self.seconds = seconds_now() - began
        self.tasks = len(self._jobs) * _TASKS_PER_JOB
        ended = [self.brain.state.jobs.get(job_id) for job_id in self._jobs]
        if any(job is None or job.record.state is not JobState.SUCCEEDED for job in ended):
            raise AssertionError("not all of the jobs have succeeded")

    def _all_that_arrives(
        self,
        number: int,
        placed: dict[tuple[WorkerId, AttemptUid], None],
        running: dict[tuple[WorkerId, AttemptUid], None],
    ) -> Iterator[events.Event]:
        for worker_id, uid in running:
            yield self._observed(worker_id, uid, TaskState.SUCCEEDED)
        for worker_id, uid in placed:
            yield self._observed(worker_id, uid, TaskState.RUNNING)
        if number:
            yield from self._submissions(number)

    def _submissions(self, number: int) -> Iterator[events.Event]:
        for index in range(_JOBS_PER_TURN):
            ask = self._asks[index % len(self._asks)]
            job_id = JobId(f"/{ask.user}/job-{number}-{index}")
            self._jobs.append(job_id)
            yield events.JobSubmitted(self.brain.now(), job_id, ask.job(_TASKS_PER_JOB))

    def _observed(
        self, worker_id: WorkerId, uid: AttemptUid, state: TaskState
    ) -> events.AttemptObserved:
        now = self.brain.now()
        seen = events.Observation(
            uid, state, 0 if state is TaskState.SUCCEEDED else None, started_at=now
        )
        return events.AttemptObserved(now, worker_id, INCARNATION, seen, self.brain.jitter())


def _run(workers: int, turns: int, stored: bool, seed: int) -> _Run:
    brain = new_brain(ControllerState(), SchedulingPolicy(), seed)
    with tempfile.TemporaryDirectory(prefix="iris-benchmark-") as folder:
        database = Database.open(Path(folder) / "controller.db") if stored else None
        run = _Run(brain, database, Random(seed))
        run.turn(iter(mixed_fleet(workers, brain.now())))
        run.rows = run.events = 0
        run.commit_seconds = 0.0
        try:
            run.go(turns)
        finally:
            if database is not None:
                database.close()
    return run
