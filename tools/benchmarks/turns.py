"""How long a turn takes in which there is little or nothing to do, in a large cluster."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from iris.controller.brain import Brain, Turn
from iris.controller.state import events
from iris.controller.state.machine import ControllerState
from iris.model.ids import AttemptUid, JobId, WorkerId
from iris.model.priority import PriorityBand
from iris.model.states import TaskState
from iris.scheduler.policy import SchedulingPolicy
from tools.benchmarks.brains import new_brain
from tools.benchmarks.cluster import INCARNATION, mixed_fleet
from tools.benchmarks.timing import seconds_now
from tools.benchmarks.workload import SHAPES, Ask, vain

_JOB_SIZE = 100
# Each run is the median of so many turns.
_TURNS = 200

Attempts = Iterator[tuple[WorkerId, AttemptUid]]


def measure(*, workers: int, running: int, pending: int, runs: int, seed: int) -> dict[str, Any]:
    """Milliseconds for each kind of turn below, run by run; and how many turns each had."""
    brain = new_brain(ControllerState(), SchedulingPolicy(), seed)
    placed = _fill(brain, workers, running, pending)
    attempts = iter(placed)
    kinds: Mapping[str, Callable[[], events.Event | None]] = {
        "nothing_to_do": lambda: _observed(brain, attempts, TaskState.RUNNING),
        "empty": lambda: None,
        "nothing_placed": _submissions(brain),
        "one_worker_changed": lambda: _observed(brain, attempts, TaskState.SUCCEEDED),
    }
    found: dict[str, list[float]] = {}
    for name, make in kinds.items():
        looks = name in ("nothing_placed", "one_worker_changed")
        for run in range(-1, runs):
            times = sorted(_time(brain, make, looks) for _ in range(_TURNS))
            if run >= 0:
                found.setdefault(name, []).append(times[_TURNS // 2] * 1000)
    return {"milliseconds": found, "count": _TURNS * runs}


def _fill(
    brain: Brain, workers: int, running: int, pending: int
) -> list[tuple[WorkerId, AttemptUid]]:
    """So many tasks that were placed and have not begun to run yet, and so many that wait in vain."""
    for event in mixed_fleet(workers):
        brain.apply(event)
    placed: list[tuple[WorkerId, AttemptUid]] = []
    asks = [Ask(f"user{i % 10}", band, SHAPES[i]) for i, band in enumerate([*PriorityBand] * 2)]
    for number in range(running // _JOB_SIZE):
        ask = asks[number % len(asks)]
        brain.apply(_job(brain, ask, f"job-{number}", _JOB_SIZE))
    while brain.wants_turn or not placed:
        placed += brain.finish().effects.run
    stuck = vain()
    for number in range(pending // _JOB_SIZE):
        brain.apply(_job(brain, stuck[number % len(stuck)], f"vain-{number}", _JOB_SIZE))
    brain.finish()
    counts = brain.state.jobs.counts
    if counts[TaskState.ASSIGNED] != running or counts[TaskState.PENDING] != pending:
        raise AssertionError(f"not the cluster that was meant: {counts}")
    return placed


def _job(brain: Brain, ask: Ask, name: str, tasks: int) -> events.JobSubmitted:
    return events.JobSubmitted(brain.now(), JobId(f"/{ask.user}/{name}"), ask.job(tasks))


def _observed(brain: Brain, attempts: Attempts, state: TaskState) -> events.Event:
    worker_id, uid = next(attempts)
    seen = events.Observation(uid, state, started_at=brain.now())
    return events.AttemptObserved(brain.now(), worker_id, INCARNATION, seen, brain.jitter())


def _submissions(brain: Brain) -> Callable[[], events.Event]:
    numbers = iter(range(1_000_000))
    ask = vain()[0]
    return lambda: _job(brain, ask, f"more-{next(numbers)}", 1)


def _time(brain: Brain, make: Callable[[], events.Event | None], looks: bool) -> float:
    event = make()
    began = seconds_now()
    if event is not None:
        brain.apply(event)
    turn: Turn = brain.finish()
    seconds = seconds_now() - began
    if turn.looked is not looks or turn.effects.run:
        raise AssertionError(f"looked: {turn.looked}, placed: {len(turn.effects.run)}")
    return seconds
