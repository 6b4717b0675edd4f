"""A run in which too little happened proves nothing: how much there has to be."""

from collections import Counter
from collections.abc import Iterable, Mapping

from iris.simulation.world import Result


class TooLittleTraffic(Exception):
    """The run, or the batch of runs, is invalid: it is neither green nor red."""


# Of one run with all faults, for each job of it.
_PER_JOB: Mapping[str, float] = {"attempts started": 0.5, "turns": 1.0, "TasksAssigned": 0.2}
# Of many such runs, on average, for a scenario of 200 jobs.
_PER_RUN: Mapping[str, float] = {
    "attempts started": 250,
    "attempts failed": 15,
    "attempts lost": 20,
    "retries": 40,
    "preempted by us": 3,
    "gangs placed": 20,
    "workers lost": 20,
    "WorkerLost": 3,
    "WorkerDetached": 20,
    "WorkerHealthChanged": 4,
    "WorkerDrainChanged": 2,
    "controller crashes": 0.8,
    "messages": 3_000,
    "messages lost": 100,
    "messages doubled": 50,
    "messages overtaken": 30,
    "slices bought": 20,
    "slices preempted": 2,
}
# The same of what is rare.
_RARE: Mapping[str, float] = {
    "slices refused": 0.2,
    "slices short-lived": 0.05,
    "boots failed": 0.1,
    "calls timed out": 0.1,
}
# Averages mean something from so many runs on; of what is rare, from more.
_MANY = 10
_VERY_MANY = 50


def check_run(result: Result) -> None:
    """Raises TooLittleTraffic for a run with less than any scenario should have."""
    counts, jobs = result.counts, len(result.scenario.jobs)
    for name, share in _PER_JOB.items():
        if counts[name] < share * jobs:
            raise TooLittleTraffic(
                f"seed {result.scenario.seed}: {counts[name]} {name} for {jobs} jobs; "
                f"at least {share * jobs:.0f} are expected"
            )


def check_batch(totals: Mapping[str, int], runs: int, jobs: int) -> None:
    """Raises TooLittleTraffic for runs with all faults in which, in all, too little happened."""
    if runs < _MANY:
        return
    expected = {**_PER_RUN, **_RARE} if runs >= _VERY_MANY else _PER_RUN
    for name, each in expected.items():
        wanted = each * runs * jobs / 200
        if totals.get(name, 0) < wanted:
            raise TooLittleTraffic(
                f"{runs} runs had {totals.get(name, 0)} {name}; at least {wanted:.0f} are expected"
            )


def totals_of(results: Iterable[Result]) -> Counter[str]:
    """All counts together."""
    totals: Counter[str] = Counter()
    for result in results:
        totals.update(result.counts)
    return totals
