"""Many seeds, one after the other: what the tests and `//tools:simulate` do.

Stops at the first seed that breaks something, and finds the shortest scenario that breaks the same.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from iris.simulation.report import describe_failure
from iris.simulation.scenario import FaultKind, Scenario
from iris.simulation.shrink import Shrinker
from iris.simulation.traffic import check_batch, check_run
from iris.simulation.workload import Size, scenario_of
from iris.simulation.world import Result, simulate

SHRINK_RUNS = 200


class BrokenSeed(Exception):
    """A seed broke something. The message says all: what, the shortest scenario, the command."""

    def __init__(self, text: str, shortest: Result) -> None:
        super().__init__(text)
        self.shortest = shortest


@dataclass(frozen=True, slots=True)
class Options:
    """How a batch is run.

    Attributes:
        shrink_runs: How many runs the search for a shorter scenario may take; 0: none.
        save_to: A folder for the scenario of a failure, for --scenario; None: it is not saved.
    """

    size: Size = field(default_factory=Size)
    shrink_runs: int = SHRINK_RUNS
    save_to: Path | None = None


def run_seeds(
    seeds: Iterable[int],
    options: Options | None = None,
    *,
    each: Callable[[Result], None] = lambda _: None,
) -> Counter[str]:
    """All counts together. Raises BrokenSeed, or TooLittleTraffic for seeds that proved nothing."""
    options = options or Options()
    totals: Counter[str] = Counter()
    runs = 0
    for seed in seeds:
        result = simulate(scenario_of(seed, options.size))
        if result.broken is not None:
            raise failure(result, options)
        check_run(result)
        each(result)
        totals.update(result.counts)
        runs += 1
    if options.size.faults == frozenset(FaultKind):
        check_batch(totals, runs, options.size.jobs)
    return totals


def failure(result: Result, options: Options) -> BrokenSeed:
    """What is to be said of a run that broke something."""
    shortest = result
    if options.shrink_runs:
        shortest = Shrinker(result, simulate, most_runs=options.shrink_runs).shrink()
    command = command_of(result.scenario, options.size)
    if options.save_to is not None:
        path = options.save_to / f"seed-{result.scenario.seed}.json"
        path.write_bytes(shortest.scenario.to_json())
        command += f"\n      the shortest with: ./bazelw run //tools:simulate -- --scenario={path}"
    return BrokenSeed(describe_failure(result, shortest, command), shortest)


def command_of(scenario: Scenario, size: Size) -> str:
    """What repeats a seed's run."""
    command = f"./bazelw run //tools:simulate -- --seed={scenario.seed}"
    usual = Size()
    if size.jobs != usual.jobs:
        command += f" --jobs={size.jobs}"
    if size.workers != usual.workers:
        command += f" --workers={size.workers}"
    if size.faults != usual.faults:
        names = ",".join(sorted(kind.name.lower() for kind in size.faults))
        command += f" --faults={names or 'none'}"
    return command
