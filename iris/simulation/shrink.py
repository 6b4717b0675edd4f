"""The shortest scenario that still breaks the same: jobs and faults are taken away, and what is left
is made simpler, as long as it fails in the same way (delta debugging, Zeller and Hildebrandt 2002).

It works because every entity draws its random numbers from a stream of its own: what is taken away
does not change what the others draw.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from iris.simulation.scenario import JobPlan, Scenario
from iris.simulation.world import Result

T = TypeVar("T")
Simulate = Callable[[Scenario], Result]


class Shrinker:
    """For one failed run.

    Attributes:
        best: The shortest failing run so far.
        runs_left: How many more may be made.
    """

    def __init__(self, failed: Result, simulate: Simulate, *, most_runs: int = 300) -> None:
        self.best = failed
        self.runs_left = most_runs
        self._simulate = simulate

    def shrink(self) -> Result:
        """The shortest failing run that was found; the given one if there is none shorter."""
        if self.best.broken is None:
            return self.best
        self._fails(replace(self.best.scenario, faults=()))
        while self.runs_left > 0:
            before = _size(self.best.scenario)
            self._minimise(lambda s: s.jobs, lambda s, left: replace(s, jobs=left))
            self._minimise(lambda s: s.faults, lambda s, left: replace(s, faults=left))
            for simpler in _simpler(self.best.scenario):
                self._fails(simpler)
            if _size(self.best.scenario) >= before:
                break
        return self.best

    def _fails(self, scenario: Scenario) -> bool:
        """Whether it fails in the same way; then it is the best."""
        assert self.best.broken is not None
        if self.runs_left <= 0:
            return False
        self.runs_left -= 1
        result = self._simulate(scenario)
        if result.broken is None or result.broken.invariant != self.best.broken.invariant:
            return False
        self.best = result
        return True

    def _minimise(
        self,
        parts: Callable[[Scenario], tuple[T, ...]],
        with_parts: Callable[[Scenario, tuple[T, ...]], Scenario],
    ) -> None:
        """Takes away ever smaller pieces, until no single one can go."""
        pieces = 2
        while (have := parts(self.best.scenario)) and self.runs_left > 0:
            pieces = min(pieces, len(have))
            if any(
                self._fails(with_parts(self.best.scenario, left)) for left in _without(have, pieces)
            ):
                pieces = max(pieces - 1, 1)
            elif pieces >= len(have):
                return
            else:
                pieces *= 2


def _without(parts: Sequence[T], pieces: int) -> Iterator[tuple[T, ...]]:
    """The parts without one of so many pieces, each in turn."""
    size = -(-len(parts) // pieces)
    for start in range(0, len(parts), size):
        yield (*parts[:start], *parts[start + size :])


def _simpler(scenario: Scenario) -> Iterator[Scenario]:
    """The scenario with one job made simpler, each in turn."""
    for position, job in enumerate(scenario.jobs):
        for simpler in _simpler_jobs(job):
            jobs = (*scenario.jobs[:position], simpler, *scenario.jobs[position + 1 :])
            yield replace(scenario, jobs=jobs)


def _simpler_jobs(job: JobPlan) -> Iterator[JobPlan]:
    if job.spec.replicas > 1 and job.spec.gang is None:
        yield replace(job, spec=replace(job.spec, replicas=1, max_task_failures=0))
    if job.cancel_at is not None:
        yield replace(job, cancel_at=None)
    if job.behaviour.spread or job.behaviour.failure_rate:
        yield replace(job, behaviour=replace(job.behaviour, spread=0.0, failure_rate=0.0))


def _size(scenario: Scenario) -> tuple[int, int]:
    return (
        len(scenario.jobs) + len(scenario.faults),
        sum(job.spec.replicas for job in scenario.jobs),
    )
